// @upstash/ratelimit over three regions, each an Eave of its own, in the present version and in
// the last one whose scripts were others.

import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { Redis } from "@upstash/redis";
import * as current from "@upstash/ratelimit";
import * as earlier from "upstash-ratelimit-2.0.8";
import { another, rest, until, within } from "./support.mjs";

const WINDOW = 30 * 86_400_000;
const regions = [];
const others = [];

before(async () => {
  const wheres = [rest()];
  for (let count = 0; count < 2; count += 1) {
    const eave = await another();
    others.push(eave);
    wheres.push(eave.rest);
  }
  for (const where of wheres) regions.push(new Redis({ ...where, enableTelemetry: false, retry: false }));
});
after(() => Promise.all(others.map((eave) => eave.stop())));
beforeEach(() => Promise.all(regions.map((redis) => redis.flushall())));

for (const [version, library] of [["2.2.0", current], ["2.0.8", earlier]]) {
  describe(version, () => suite(version, library));
}

function suite(version, { MultiRegionRatelimit }) {
  let number = 0;
  const someone = () => `${version}:someone:${(number += 1)}`;
  const make = (limiter, options = {}) =>
    new MultiRegionRatelimit({ redis: regions, limiter, prefix: "app", ...options });
  const one = async (limit, id, options) => {
    const result = await limit.limit(id, options);
    await result.pending;
    return result;
  };
  const everywhere = (look) => Promise.all(regions.map(look));
  const key = (id) => `app:${id}:${Math.floor(Date.now() / WINDOW)}`;

  test("a fixed window, told to every region", async () => {
    const [limit, id] = [make(MultiRegionRatelimit.fixedWindow(3, "30 d")), someone()];
    const results = [];
    for (let count = 0; count < 5; count += 1) results.push(await one(limit, id));
    assert.deepEqual(results.map((one) => one.success), [true, true, true, false, false]);
    assert.deepEqual(results.slice(0, 3).map((one) => one.remaining), [2, 1, 0]);
    const counts = await everywhere((redis) => redis.hlen(key(id)));
    assert.ok(counts.every((count) => count >= 3), `${counts}`);
    for (const ttl of await everywhere((redis) => redis.pttl(key(id)))) within(ttl, WINDOW, 60_000);
  });

  test("a sliding window, told to every region", async () => {
    const [limit, id] = [make(MultiRegionRatelimit.slidingWindow(3, "30 d")), someone()];
    const results = [];
    for (let count = 0; count < 5; count += 1) results.push(await one(limit, id));
    assert.deepEqual(results.map((one) => one.success), [true, true, true, false, false]);
    assert.deepEqual(await everywhere((redis) => redis.hlen(key(id))), [3, 3, 3]);
    for (const ttl of await everywhere((redis) => redis.pttl(key(id)))) {
      within(ttl, 2 * WINDOW + 1000, 60_000);
    }
  });

  test("what one region alone has heard reaches the others", async () => {
    const [limit, id] = [make(MultiRegionRatelimit.fixedWindow(10, "30 d")), someone()];
    await regions[1].hset(key(id), { elsewhere: 1 });
    await one(limit, id);
    await until(async () => {
      const counts = await everywhere((redis) => redis.hlen(key(id)));
      return counts.every((count) => count === 2);
    }, "what another region knew");
  });

  test("what is left, what was used, refunds", async () => {
    for (const limiter of [
      MultiRegionRatelimit.fixedWindow(5, "30 d"),
      MultiRegionRatelimit.slidingWindow(5, "30 d"),
    ]) {
      const [limit, id] = [make(limiter), someone()];
      assert.equal((await limit.getRemaining(id)).remaining, 5);
      assert.equal((await one(limit, id, { rate: 4 })).success, true);
      assert.equal((await limit.getRemaining(id)).remaining, 1);
      assert.equal((await one(limit, id, { rate: -2 })).success, true);
      assert.equal((await limit.getRemaining(id)).remaining, 3);
      // The library does not wait for its answer.
      await limit.resetUsedTokens(id);
      const sizes = () => everywhere((redis) => redis.dbsize());
      await until(async () => (await sizes()).every((size) => size === 0), "the reset");
      assert.equal((await limit.getRemaining(id)).remaining, 5);
    }
  });

  test("who is refused is remembered here, and who waits gets through", async () => {
    const options = { ephemeralCache: new Map() };
    const [limit, id] = [make(MultiRegionRatelimit.slidingWindow(1, "30 d"), options), someone()];
    await one(limit, id);
    assert.equal((await one(limit, id)).success, false);
    assert.equal((await limit.limit(id)).reason, "cacheBlock");
    const quick = make(MultiRegionRatelimit.fixedWindow(1, "1 s"));
    await one(quick, id);
    assert.equal((await quick.blockUntilReady(id, 20_000)).success, true);
  });

  test("one region that is away does not matter", async () => {
    const away = new Redis({ url: "http://127.0.0.1:9", token: "t", retry: false });
    const limiter = MultiRegionRatelimit.fixedWindow(2, "30 d");
    const redis = [away, ...regions.slice(1)];
    const limit = new MultiRegionRatelimit({ redis, limiter, prefix: "app" });
    const id = someone();
    for (const expected of [true, true, false]) {
      const result = await limit.limit(id);
      await result.pending.catch(() => {});
      assert.equal(result.success, expected);
    }
  });

  test("analytics go to the first region", async () => {
    const options = { analytics: true };
    const limit = make(MultiRegionRatelimit.fixedWindow(2, "30 d"), options);
    await one(limit, someone());
    const keys = await everywhere((redis) => redis.keys("app:events:*"));
    assert.deepEqual(keys.map((found) => found.length), [1, 0, 0]);
  });
}
