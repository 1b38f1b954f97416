// @upstash/ratelimit in one region: each documented feature, in the present version and in the
// last one whose scripts were others. Several regions are in upstash-ratelimit-multi.test.mjs.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, beforeEach, describe, test } from "node:test";
import { Redis } from "@upstash/redis";
import * as current from "@upstash/ratelimit";
import * as earlier from "upstash-ratelimit-2.0.8";
import { rest, until, within } from "./support.mjs";

// The list of addresses comes from the internet; here it comes from this file. Requests to the
// server are counted.
const LISTED = ["203.0.113.7", "203.0.113.8", "2001:db8::7"];
const sent = { lists: [], requests: 0 };
const realFetch = globalThis.fetch;
globalThis.fetch = (url, options) => {
  const list = /\/ipsum\/.*\/(\d)\.txt$/.exec(String(url));
  if (!list) {
    sent.requests += 1;
    return realFetch(url, options);
  }
  sent.lists.push(Number(list[1]));
  return Promise.resolve(new Response(`${LISTED.join("\n")}\n`));
};

const redis = new Redis({ ...rest(), enableTelemetry: false });
beforeEach(async () => {
  await redis.flushall();
  sent.lists = [];
});

for (const [version, library] of [["2.2.0", current], ["2.0.8", earlier]]) {
  describe(version, () => suite(version, library));
}

function suite(version, { Ratelimit, Analytics, IpDenyList }) {
  // The caches of one test are not another's, so each has identifiers of its own.
  let number = 0;
  const someone = () => `${version}:someone:${(number += 1)}`;
  const make = (limiter, options = {}) =>
    new Ratelimit({ redis, limiter, prefix: "app", ephemeralCache: false, ...options });
  const all = async (limit, id, rates) => {
    const results = [];
    for (const rate of rates) results.push(await limit.limit(id, { rate }));
    return results;
  };
  const verdicts = (results) => results.map((one) => [one.success, one.remaining]);

  test("a fixed window counts, refuses, and counts what it refuses", async () => {
    const [limit, id] = [make(Ratelimit.fixedWindow(3, "30 d")), someone()];
    const results = await all(limit, id, [1, 1, 1, 1]);
    assert.deepEqual(verdicts(results), [[true, 2], [true, 1], [true, 0], [false, 0]]);
    const window = 30 * 86_400_000;
    const bucket = Math.floor(Date.now() / window);
    assert.deepEqual([results[0].limit, results[0].reset], [3, (bucket + 1) * window]);
    const key = `app:${id}:${bucket}`;
    assert.equal(await redis.get(key), 4);
    within(await redis.pttl(key), window, 60_000);
    assert.equal((await limit.limit(someone())).success, true);
  });

  test("a sliding window refuses without counting", async () => {
    const [limit, id] = [make(Ratelimit.slidingWindow(3, "30 d")), someone()];
    const results = await all(limit, id, [1, 1, 1, 1, 1]);
    assert.deepEqual(verdicts(results).slice(2), [[true, 0], [false, 0], [false, 0]]);
    const window = 30 * 86_400_000;
    const key = `app:${id}:${Math.floor(Date.now() / window)}`;
    assert.equal(await redis.get(key), 3);
    within(await redis.pttl(key), 2 * window + 1000, 60_000);
  });

  test("a sliding window weighs the one before", async () => {
    const window = 30 * 86_400_000;
    const [limit, id] = [make(Ratelimit.slidingWindow(1000, "30 d")), someone()];
    const bucket = Math.floor(Date.now() / window);
    await redis.set(`app:${id}:${bucket - 1}`, 500);
    const share = Math.floor((1 - (Date.now() % window) / window) * 500);
    const { success, remaining } = await limit.limit(id);
    assert.ok(success && Math.abs(remaining - (999 - share)) <= 1, `${remaining} ${share}`);
    await redis.set(`app:${id}:${bucket}`, 1000 - share);
    assert.equal((await limit.limit(id, { rate: 5 })).success, false);
  });

  test("a token bucket empties and fills up", async () => {
    const [limit, id] = [make(Ratelimit.tokenBucket(2, "500 ms", 3)), someone()];
    const results = await all(limit, id, [1, 1, 1]);
    assert.deepEqual(verdicts(results), [[true, 2], [true, 1], [true, 0]]);
    await until(async () => (await limit.limit(id)).success, "a refill");
    assert.deepEqual(Object.keys(await redis.hgetall(`app:${id}`)).sort(), ["refilledAt", "tokens"]);
    const slow = make(Ratelimit.tokenBucket(1, "30 d", 5));
    const results2 = await all(slow, id + "slow", [2, 2, 1, 1]);
    assert.deepEqual(verdicts(results2), [[true, 3], [true, 1], [true, 0], [false, 0]]);
    const more = await all(slow, id + "more", [4, 3, 1]);
    // Before 2.2.0 one large request locked everybody out.
    const expected = version === "2.2.0" ? [[true, 1], [false, 0], [true, 0]] : [[true, 1], [false, 0], [false, 0]];
    assert.deepEqual(verdicts(more), expected);
  });

  test("a cached fixed window counts here and tells the server later", async () => {
    const limiter = Ratelimit.cachedFixedWindow(3, "30 d");
    const [limit, id] = [make(limiter, { ephemeralCache: new Map() }), someone()];
    const results = await all(limit, id, [1, 1, 1, 1]);
    // Before 2.2.0 the count kept here stopped one short of the limit.
    const third = version === "2.2.0";
    assert.deepEqual(results.map((one) => one.success), [true, true, third, false]);
    await Promise.all(results.map((one) => one.pending));
    const key = `app:${id}:${Math.floor(Date.now() / (30 * 86_400_000))}`;
    assert.equal(await redis.get(key), third ? 3 : 2);
    // Their script means to, but compares a number with a text.
    assert.equal(await redis.ttl(key), -1);
    const other = make(limiter, { ephemeralCache: new Map() });
    assert.equal((await other.getRemaining(id)).remaining, third ? 0 : 1);
    assert.equal((await other.limit(id, { rate: 2 })).success, false);
  });

  test("what is left, before and after, for every algorithm", async () => {
    for (const limiter of [
      Ratelimit.fixedWindow(5, "30 d"),
      Ratelimit.slidingWindow(5, "30 d"),
      Ratelimit.tokenBucket(5, "30 d", 5),
      Ratelimit.cachedFixedWindow(5, "30 d"),
    ]) {
      const [limit, id] = [make(limiter, { ephemeralCache: new Map() }), someone()];
      const before = await limit.getRemaining(id);
      assert.equal(before.remaining, 5);
      await (await limit.limit(id, { rate: 2 })).pending;
      const { remaining, reset, limit: most } = await limit.getRemaining(id);
      assert.deepEqual([remaining, most], [3, 5]);
      assert.ok(reset > Date.now() - 60_000);
    }
  });

  test("what was used is forgotten, for every algorithm", async () => {
    for (const limiter of [
      Ratelimit.fixedWindow(1, "30 d"),
      Ratelimit.slidingWindow(1, "30 d"),
      Ratelimit.tokenBucket(1, "30 d", 1),
      Ratelimit.cachedFixedWindow(1, "30 d"),
    ]) {
      const [limit, id, other] = [make(limiter, { ephemeralCache: new Map() }), someone(), someone()];
      for (const who of [id, other]) await (await limit.limit(who)).pending;
      assert.equal((await limit.limit(id)).success, false);
      await limit.resetUsedTokens(id);
      assert.equal((await limit.limit(id)).success, true);
      assert.equal((await limit.limit(other)).success, false);
    }
  });

  test("requests that count for several, and refunds", async () => {
    for (const limiter of [
      Ratelimit.fixedWindow(5, "30 d"),
      Ratelimit.slidingWindow(5, "30 d"),
      Ratelimit.tokenBucket(5, "30 d", 5),
    ]) {
      const [limit, id] = [make(limiter), someone()];
      const results = await all(limit, id, [4, -2, 3]);
      assert.deepEqual(verdicts(results), [[true, 1], [true, 3], [true, 0]]);
    }
    const [limit, id] = [make(Ratelimit.fixedWindow(5, "30 d")), someone()];
    await all(limit, id, [1, 1, 1, 1, 1, 1, 1]);
    // Seven are counted, so five are still too many.
    assert.deepEqual(verdicts(await all(limit, id, [-1, -1])), [[false, 0], [true, 0]]);
  });

  test("a limit that changes while the program runs", async () => {
    for (const limiter of [
      Ratelimit.fixedWindow(1, "30 d"),
      Ratelimit.slidingWindow(1, "30 d"),
      Ratelimit.tokenBucket(1, "30 d", 1),
    ]) {
      const [limit, id] = [make(limiter, { dynamicLimits: true }), someone()];
      assert.deepEqual(await limit.getDynamicLimit(), { dynamicLimit: null });
      assert.equal((await limit.getRemaining(id)).limit, 1);
      await limit.setDynamicLimit({ limit: 4 });
      assert.deepEqual(await limit.getDynamicLimit(), { dynamicLimit: 4 });
      const { success, limit: most, remaining } = await limit.limit(id, { rate: 2 });
      assert.deepEqual([success, most, remaining], [true, 4, 2]);
      const left = await limit.getRemaining(id);
      assert.deepEqual([left.remaining, left.limit], [2, 4]);
      await limit.setDynamicLimit({ limit: false });
      assert.deepEqual(await limit.getDynamicLimit(), { dynamicLimit: null });
      assert.equal((await limit.limit(someone())).limit, 1);
    }
    await assert.rejects(make(Ratelimit.fixedWindow(1, "1 d")).setDynamicLimit({ limit: 1 }));
  });

  test("who is refused is remembered here", async () => {
    const [cache, id] = [new Map(), someone()];
    const limit = make(Ratelimit.slidingWindow(1, "30 d"), { ephemeralCache: cache });
    const [first, second] = await all(limit, id, [1, 1]);
    assert.deepEqual([first.success, second.success, second.reason], [true, false, undefined]);
    assert.equal(cache.size, 1);
    const before = sent.requests;
    const third = await limit.limit(id);
    assert.deepEqual([third.success, third.reason], [false, "cacheBlock"]);
    assert.equal(sent.requests, before);
    const back = await limit.limit(id, { rate: -1 });
    assert.deepEqual([back.success, sent.requests], [true, before + 1]);
    assert.equal((await limit.limit(id)).success, true);
  });

  test("without an answer in time, everybody passes", async () => {
    const silent = createServer(() => {});
    await new Promise((resolve) => silent.listen(0, "127.0.0.1", resolve));
    const { port } = silent.address();
    const away = new Redis({ url: `http://127.0.0.1:${port}`, token: "t", retry: false });
    const limiter = Ratelimit.slidingWindow(1, "30 d");
    const limit = new Ratelimit({ redis: away, limiter, timeout: 50, prefix: "app" });
    const result = await limit.limit(someone());
    assert.deepEqual([result.success, result.reason], [true, "timeout"]);
    silent.closeAllConnections();
    silent.close();
  });

  test("who waits gets through in the next window", async () => {
    const [limit, id] = [make(Ratelimit.fixedWindow(1, "1 s")), someone()];
    await limit.limit(id);
    assert.equal((await limit.blockUntilReady(id, 20_000)).success, true);
    const slow = make(Ratelimit.fixedWindow(1, "30 d"));
    await slow.limit(id);
    assert.equal((await slow.blockUntilReady(id, 50)).success, false);
    await assert.rejects(slow.blockUntilReady(id, 0));
  });

  test("analytics", async () => {
    const limit = make(Ratelimit.fixedWindow(2, "30 d"), { analytics: true });
    const [often, seldom] = [someone(), someone()];
    const results = await all(limit, often, [1, 1, 1, 1]);
    results.push(await limit.limit(seldom, { country: "DE", city: "Köln" }));
    await Promise.all(results.map((one) => one.pending));
    const [key] = await redis.keys("app:events:*");
    const events = await redis.zrange(key, 0, -1, { withScores: true });
    assert.equal(events.length, 6);
    const analytics = new Analytics({ redis, prefix: "app" });
    const usage = await analytics.getUsage();
    assert.deepEqual(usage[often], { success: 2, blocked: 2 });
    assert.deepEqual(usage[seldom], { success: 1, blocked: 0 });
    const top = await analytics.getMostAllowedBlocked(24, 5);
    assert.deepEqual(top.allowed[0], { identifier: often, count: 2 });
    assert.equal(top.ratelimited[0].identifier, often);
    const series = await analytics.getUsageOverTime(1, "identifier");
    assert.ok(series.length > 0 && JSON.stringify(series).includes(often));
  });

  test("a deny list", async () => {
    const limit = make(Ratelimit.fixedWindow(100, "30 d"), { enableProtection: true });
    await redis.set("app:ipDenyListStatus", "disabled");
    const [id, denied] = [someone(), someone()];
    const suffix = `${version}:${process.pid}`;
    const members = [denied, `agent ${suffix}`, `land ${suffix}`, `ip ${suffix}`];
    await redis.sadd("app:denyList:all", ...members);
    const [, userAgent, country, ip] = members;
    assert.equal((await limit.limit(id, { ip: "192.0.2.1" })).success, true);
    for (const [who, options, value] of [
      [denied, {}, denied],
      [id, { userAgent }, userAgent],
      [id, { country }, country],
      [id, { ip, country: "FR" }, ip],
    ]) {
      const result = await limit.limit(who, options);
      assert.deepEqual([result.success, result.reason, result.deniedValue], [false, "denyList", value]);
    }
    // Known by now: nobody is asked.
    const before = sent.requests;
    assert.equal((await limit.limit(id, { ip })).deniedValue, ip);
    assert.equal(sent.requests, before);
  });

  test("the list of addresses is fetched, kept for a day, renewed and switched off", async () => {
    const options = { enableProtection: true, denyListThreshold: 4 };
    const limit = make(Ratelimit.fixedWindow(100, "30 d"), options);
    await redis.sadd("app:denyList:all", "192.0.2.99");
    const first = await limit.limit(someone(), { ip: "192.0.2.1" });
    assert.equal(first.success, true);
    await first.pending;
    assert.deepEqual(sent.lists, [4]);
    assert.deepEqual((await redis.smembers("app:denyList:ipDenyList")).sort(), [...LISTED].sort());
    assert.equal(await redis.scard("app:denyList:all"), LISTED.length + 1);
    assert.equal(await redis.get("app:ipDenyListStatus"), "valid");
    within(await redis.pttl("app:ipDenyListStatus"), 86_400_000, 86_400_000);
    const ip = LISTED[version === "2.2.0" ? 0 : 1];
    const refused = await limit.limit(someone(), { ip });
    assert.deepEqual([refused.success, refused.deniedValue], [false, ip]);
    await IpDenyList.updateIpDenyList(redis, "app", 2);
    assert.deepEqual(sent.lists, [4, 2]);
    await IpDenyList.disableIpDenyList(redis, "app");
    assert.deepEqual(await redis.smembers("app:denyList:all"), ["192.0.2.99"]);
    assert.equal(await redis.get("app:ipDenyListStatus"), "disabled");
    const last = await limit.limit(someone(), { ip: LISTED[2] });
    assert.deepEqual([last.success, sent.lists.length], [true, 2]);
    await assert.rejects(IpDenyList.updateIpDenyList(redis, "app", 9), IpDenyList.ThresholdError);
  });

  test("who finds no list fetches it, and meanwhile nobody else does", async () => {
    const limit = make(Ratelimit.fixedWindow(100, "30 d"), { enableProtection: true });
    const id = someone();
    const results = await Promise.all(Array.from({ length: 8 }, () => limit.limit(id)));
    await Promise.all(results.map((one) => one.pending));
    assert.equal(sent.lists.length, 1);
  });

  test("many at once are counted each", async () => {
    for (const limiter of [
      Ratelimit.fixedWindow(20, "30 d"),
      Ratelimit.slidingWindow(20, "30 d"),
      Ratelimit.tokenBucket(1, "30 d", 20),
    ]) {
      const [limit, id] = [make(limiter), someone()];
      const results = await Promise.all(Array.from({ length: 50 }, () => limit.limit(id)));
      assert.equal(results.filter((one) => one.success).length, 20);
    }
  });

  test("scripts that were forgotten, and keys that hold something else", async () => {
    const [limit, id] = [make(Ratelimit.slidingWindow(5, "30 d")), someone()];
    assert.equal((await limit.limit(id)).remaining, 4);
    await redis.scriptFlush();
    assert.equal((await limit.limit(id)).remaining, 3);
    const bucket = make(Ratelimit.tokenBucket(5, "30 d", 5));
    await redis.set(`app:${id}`, "text");
    await assert.rejects(bucket.limit(id), /WRONGTYPE/);
    const key = `app:${id}:${Math.floor(Date.now() / (30 * 86_400_000))}`;
    await redis.del(key);
    await redis.rpush(key, 1);
    await assert.rejects(limit.limit(id), /WRONGTYPE/);
  });

  test("durations", () => {
    for (const duration of ["10 s", "10s", "500 ms", "1 m", "2 h", "1d"]) {
      assert.ok(Ratelimit.fixedWindow(1, duration));
    }
    assert.throws(() => Ratelimit.fixedWindow(1, "soon"));
  });
}

describe("without Lua and with it", () => {
  let limit;
  before(() => {
    const limiter = current.Ratelimit.slidingWindow(3, "30 d");
    limit = new current.Ratelimit({ redis, limiter, ephemeralCache: false });
  });
  after(() => redis.exec(["CONFIG", "SET", "native-scripts", "yes"]));

  test("the first request needs no second one", async () => {
    await redis.scriptFlush();
    const before = sent.requests;
    assert.equal((await limit.limit("one")).remaining, 2);
    assert.equal(sent.requests, before + 1);
    await redis.exec(["CONFIG", "SET", "native-scripts", "no"]);
    assert.equal((await limit.limit("one")).remaining, 1);
    assert.equal(sent.requests, before + 4, "CONFIG, EVALSHA, and EVAL after NOSCRIPT");
  });
});
