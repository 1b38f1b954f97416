// Redlock, and the fork of it that is kept up: locks held by scripts over many keys.

import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { Redlock as Fork } from "@sesamecare-oss/redlock";
import { Redis } from "ioredis";
import Redlock from "redlock";
import { resp, until, within } from "./support.mjs";

for (const [name, Kind] of [["redlock", Redlock], ["@sesamecare-oss/redlock", Fork]]) {
  describe(name, () => suite(Kind));
}

function suite(Kind) {
  let redis;
  // It asks in vain at most once, so that a test never waits for its patience to end.
  const impatient = { retryCount: 0 };
  const locks = (settings) => {
    const found = new Kind([redis], settings);
    found.on("error", () => {});
    return found;
  };
  before(() => {
    redis = new Redis(resp());
  });
  beforeEach(async () => {
    await redis.flushall();
    await redis.script("FLUSH");
  });
  after(() => redis.quit());

  test("a lock keeps others out until it is released", async () => {
    const lock = await locks().acquire(["a"], 60_000);
    within(await redis.pttl("a"), 60_000, 30_000);
    assert.equal(await redis.get("a"), lock.value);
    await assert.rejects(locks(impatient).acquire(["a"], 60_000), /unable to achieve a quorum/);
    await lock.release();
    assert.equal(await redis.exists("a"), 0);
    const next = await locks(impatient).acquire(["a"], 60_000);
    assert.notEqual(next.value, lock.value);
    await next.release();
  });

  test("many resources are locked together or not at all", async () => {
    const lock = await locks().acquire(["b"], 60_000);
    await assert.rejects(locks(impatient).acquire(["a", "b", "c"], 60_000));
    assert.deepEqual(await redis.keys("*"), ["b"]);
    await lock.release();
    const all = await locks(impatient).acquire(["a", "b", "c"], 60_000);
    assert.deepEqual((await redis.keys("*")).sort(), ["a", "b", "c"]);
    await all.release();
    assert.deepEqual(await redis.keys("*"), []);
  });

  test("a lock is extended while it is one's own, and never after", async () => {
    const lock = await locks().acquire(["a"], 20_000);
    const longer = await lock.extend(60_000);
    within(await redis.pttl("a"), 60_000, 30_000);
    await redis.set("a", "somebody else");
    await assert.rejects(longer.extend(60_000));
    await assert.rejects(longer.release());
    assert.equal(await redis.get("a"), "somebody else");
  });

  test("a lock that ran out is free", async () => {
    await locks().acquire(["a"], 20);
    await until(async () => !(await redis.exists("a")));
    const next = await locks(impatient).acquire(["a"], 60_000);
    await next.release();
  });

  test("who waits in line is alone with what he changes", async () => {
    const patient = locks({ retryCount: -1, retryDelay: 2, retryJitter: 5 });
    let [inside, most] = [0, 0];
    const turn = () =>
      patient.using(["counter:lock"], 60_000, async () => {
        inside += 1;
        most = Math.max(most, inside);
        const value = Number((await redis.get("counter")) ?? 0);
        await redis.set("counter", value + 1);
        inside -= 1;
      });
    await Promise.all(Array.from({ length: 25 }, turn));
    assert.deepEqual([most, await redis.get("counter")], [1, "25"]);
  });

  test("a lock in use is extended by itself", async () => {
    const settings = { automaticExtensionThreshold: 4_900 };
    await locks(settings).using(["a"], 5_000, async (signal) => {
      const value = await redis.get("a");
      // Its time to live goes down, and up again only when it is extended.
      let last = await redis.pttl("a");
      await until(async () => {
        const [before, now] = [last, await redis.pttl("a")];
        last = now;
        return now > before;
      });
      assert.equal(signal.aborted, false);
      assert.equal(await redis.get("a"), value);
    });
    assert.equal(await redis.exists("a"), 0);
  });

  test("of three servers two are enough", async () => {
    const others = ["2:", "3:"].map((keyPrefix) => new Redis({ ...resp(), keyPrefix }));
    await others[0].set("a", "held by somebody else");
    const three = new Kind([redis, ...others], impatient);
    three.on("error", () => {});
    const lock = await three.acquire(["a"], 60_000);
    assert.equal(await redis.get("a"), lock.value);
    assert.equal(await others[1].get("a"), lock.value);
    await redis.mset("2:b", "held", "3:b", "held");
    await assert.rejects(three.acquire(["b"], 60_000));
    // The one lock that it got is taken back, a moment after the refusal at the latest.
    await until(async () => !(await redis.exists("b")));
    for (const other of others) await other.quit();
  });
}

test("the fork locks in another database", async () => {
  const [redis, second] = [new Redis(resp()), new Redis({ ...resp(), db: 2 })];
  await redis.flushall();
  const lock = await new Fork([redis], { db: 2 }).acquire(["a"], 60_000);
  assert.equal(await second.get("a"), lock.value);
  assert.equal(await redis.exists("a"), 0);
  await lock.release();
  assert.equal(await second.exists("a"), 0);
  await Promise.all([redis.quit(), second.quit()]);
});
