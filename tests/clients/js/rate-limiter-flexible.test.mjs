// rate-limiter-flexible: its scripts and transactions over ioredis and over node-redis.

import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { Redis } from "ioredis";
import {
  BurstyRateLimiter,
  RateLimiterMemory,
  RateLimiterQueue,
  RateLimiterRedis,
  RateLimiterRedisNonAtomic,
  RateLimiterUnion,
} from "rate-limiter-flexible";
import { createClient } from "redis";
import { resp, until, within } from "./support.mjs";

describe("over ioredis", () => suite(async () => new Redis(resp()), {}));
describe("over node-redis", () => {
  suite(() => createClient({ socket: resp() }).connect(), { useRedisPackage: true });
});

function suite(connect, how) {
  let [client, redis] = [];
  const limiter = (options, Kind = RateLimiterRedis) =>
    new Kind({ storeClient: client, ...how, points: 3, duration: 60, ...options });
  before(async () => {
    client = await connect();
    redis = new Redis(resp());
  });
  beforeEach(() => redis.flushall());
  after(async () => {
    await client.quit();
    await redis.quit();
  });

  test("points are consumed until there are none", async () => {
    const limit = limiter();
    const first = await limit.consume("user");
    assert.deepEqual([first.consumedPoints, first.remainingPoints], [1, 2]);
    assert.equal(first.isFirstInDuration, true);
    within(first.msBeforeNext, 60_000, 30_000);
    const second = await limit.consume("user", 2);
    assert.deepEqual([second.remainingPoints, second.isFirstInDuration], [0, false]);
    await assert.rejects(limit.consume("user"), (refused) => {
      assert.deepEqual([refused.consumedPoints, refused.remainingPoints], [4, 0]);
      return refused.msBeforeNext > 0;
    });
    assert.equal((await limit.consume("other")).remainingPoints, 2);
    assert.equal(await redis.get("rlflx:user"), "4");
  });

  test("many at once are counted each", async () => {
    const limit = limiter({ points: 50 });
    const all = await Promise.allSettled(Array.from({ length: 80 }, () => limit.consume("user")));
    assert.equal(all.filter((one) => one.status === "fulfilled").length, 50);
    assert.equal(await redis.get("rlflx:user"), "80");
  });

  test("points are given back, awarded, looked at, set and forgotten", async () => {
    const limit = limiter();
    assert.equal(await limit.get("user"), null);
    await limit.consume("user", 3);
    assert.equal((await limit.reward("user", 2)).consumedPoints, 1);
    assert.equal((await limit.penalty("user", 1)).consumedPoints, 2);
    assert.equal((await limit.get("user")).remainingPoints, 1);
    const set = await limit.set("user", 1, 30);
    assert.equal(set.consumedPoints, 1);
    within(await redis.pttl("rlflx:user"), 30_000, 15_000);
    assert.equal(await limit.delete("user"), true);
    assert.equal(await limit.delete("user"), false);
  });

  test("a key can be blocked, for a time or for ever", async () => {
    const limit = limiter({ blockDuration: 1000 });
    await limit.block("user", 100);
    await assert.rejects(limit.consume("user"), (refused) => refused.msBeforeNext > 10_000);
    await assert.rejects(limit.consume("greedy", 4));
    within(await redis.pttl("rlflx:greedy"), 1_000_000, 500_000);
    await limit.block("never", 0);
    assert.equal(await redis.ttl("rlflx:never"), -1);
    await assert.rejects(limit.consume("never"));
  });

  test("a window that has ended begins anew", async () => {
    const limit = limiter({ points: 1, duration: 1 });
    await limit.consume("user");
    await assert.rejects(limit.consume("user"));
    await until(() => limit.consume("user").then(() => true, () => false));
  });

  test("without a window points are counted for ever", async () => {
    const limit = limiter({ duration: 0 });
    assert.equal((await limit.consume("user")).msBeforeNext, -1);
    assert.equal((await limit.consume("user")).consumedPoints, 2);
    assert.equal(await redis.ttl("rlflx:user"), -1);
  });

  test("limits side by side, a second one for bursts, and a queue of waiting ones", async () => {
    const [seconds, minutes] = [limiter({ keyPrefix: "s" }), limiter({ keyPrefix: "m", points: 2 })];
    const union = new RateLimiterUnion(seconds, minutes);
    const both = await union.consume("user");
    assert.deepEqual([both.s.remainingPoints, both.m.remainingPoints], [2, 1]);
    await union.consume("user");
    await assert.rejects(union.consume("user"), (refused) => refused.m.remainingPoints === 0);
    const bursty = new BurstyRateLimiter(
      limiter({ keyPrefix: "steady", points: 1 }),
      limiter({ keyPrefix: "burst", points: 2, duration: 60 }),
    );
    for (let n = 0; n < 3; n += 1) await bursty.consume("user");
    await assert.rejects(bursty.consume("user"));
    const queue = new RateLimiterQueue(limiter({ keyPrefix: "q", points: 1, duration: 1 }));
    const [left] = await Promise.all([queue.removeTokens(1), queue.removeTokens(1)]);
    assert.equal(left, 0);
  });

  test("the limiter that does without scripts", async () => {
    const limit = limiter({}, RateLimiterRedisNonAtomic);
    assert.equal((await limit.consume("user", 2)).remainingPoints, 1);
    assert.equal((await limit.consume("user", 1)).remainingPoints, 0);
    await assert.rejects(limit.consume("user"));
    within(await redis.pttl("rlflx:user"), 60_000, 30_000);
  });

  test("a script of one's own, and an insurance when the server is away", async () => {
    const customIncrTtlLuaScript = `
      local n = redis.call('incrby', KEYS[1], ARGV[1] * 10)
      redis.call('pexpire', KEYS[1], ARGV[2] * 1000)
      return {n, redis.call('pttl', KEYS[1])}`;
    const custom = limiter({ customIncrTtlLuaScript, points: 100, keyPrefix: "custom" });
    assert.equal((await custom.consume("user", 2)).consumedPoints, 20);
    const away = new Redis({ port: 1, lazyConnect: true, enableOfflineQueue: false });
    away.on("error", () => {});
    const insured = new RateLimiterRedis({
      storeClient: away,
      points: 3,
      duration: 60,
      insuranceLimiter: new RateLimiterMemory({ points: 1, duration: 60 }),
    });
    assert.equal((await insured.consume("user")).remainingPoints, 0);
    away.disconnect();
  });
}
