// node-redis (npm `redis`): every method that it has for what Eave answers, over RESP2
// and RESP3.

import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { createClient, RESP_TYPES } from "redis";
import { FAR_MS, FAR_S, resp, within } from "./support.mjs";

for (const RESP of [2, 3]) {
  describe(`RESP${RESP}`, () => suite(RESP));
}

function suite(RESP) {
  let redis;
  const connected = async () => createClient({ socket: resp(), RESP }).connect();
  before(async () => {
    redis = await connected();
  });
  beforeEach(() => redis.flushAll());
  after(() => redis.close());

  test("connection", async () => {
    assert.equal(await redis.ping(), "PONG");
    assert.equal(await redis.ping("hello"), "hello");
    assert.equal(await redis.echo("hello"), "hello");
    assert.ok((await redis.clientId()) > 0);
    assert.equal(await redis.clientSetName("tester"), "OK");
    assert.equal(await redis.clientGetName(), "tester");
    assert.equal((await redis.clientInfo()).name, "tester");
    assert.ok((await redis.clientList()).some((client) => client.name === "tester"));
    const hello = await redis.hello(RESP);
    assert.equal(hello.proto, RESP);
    assert.equal(hello.role, "master");
    assert.ok((await redis.time()).length === 2);
    await redis.select(1);
    await redis.set("k", 1);
    await redis.select(0);
    assert.equal(await redis.exists("k"), 0);
  });

  test("server", async () => {
    assert.match(await redis.info("server"), /redis_version:/);
    assert.ok((await redis.commandCount()) > 50);
    assert.deepEqual(await redis.commandGetKeys(["MSET", "a", "1", "b", "2"]), ["a", "b"]);
    assert.equal((await redis.commandInfo(["get"]))[0].name, "get");
    assert.ok((await redis.commandList()).includes("get"));
    assert.ok("maxmemory" in (await redis.configGet("maxmemory")));
    assert.equal(await redis.configSet("maxmemory", "0"), "OK");
    await redis.set("k", 1);
    assert.equal(await redis.dbSize(), 1);
    assert.equal(await redis.flushDb(), "OK");
    assert.equal(await redis.dbSize(), 0);
  });

  test("keys", async () => {
    await redis.mSet({ a: "1", b: "2", c: "3" });
    await redis.hSet("h", "f", "v");
    assert.equal(await redis.exists(["a", "a", "none"]), 2);
    assert.equal(await redis.touch(["a", "none"]), 1);
    assert.equal(await redis.type("h"), "hash");
    assert.deepEqual((await redis.keys("[ab]")).sort(), ["a", "b"]);
    assert.ok(["a", "b", "c", "h"].includes(await redis.randomKey()));
    assert.equal(await redis.rename("a", "z"), "OK");
    assert.equal(await redis.renameNX("b", "z"), 0);
    assert.equal(await redis.copy("z", "y"), 1);
    assert.equal(await redis.copy("c", "y", { REPLACE: true }), 1);
    assert.equal(await redis.objectEncoding("y"), "int");
    assert.equal(await redis.del(["y", "z", "none"]), 2);
    assert.equal(await redis.unlink(["b", "c"]), 2);
  });

  test("expiry", async () => {
    await redis.set("k", "v");
    assert.equal(await redis.ttl("k"), -1);
    assert.equal(await redis.expire("k", 100), 1);
    within(await redis.ttl("k"), 100, 60);
    assert.equal(await redis.expire("k", 50, "GT"), 0);
    assert.equal(await redis.pExpire("k", 100000), 1);
    within(await redis.pTTL("k"), 100000, 60000);
    assert.equal(await redis.expireAt("k", FAR_S), 1);
    assert.equal(await redis.expireTime("k"), FAR_S);
    assert.equal(await redis.pExpireAt("k", FAR_MS), 1);
    assert.equal(await redis.pExpireTime("k"), FAR_MS);
    assert.equal(await redis.persist("k"), 1);
    assert.equal(await redis.ttl("none"), -2);
  });

  test("strings", async () => {
    assert.equal(await redis.set("k", "one"), "OK");
    assert.equal(await redis.set("k", "two", { condition: "NX" }), null);
    assert.equal(await redis.set("k", "two", { condition: "XX", GET: true }), "one");
    await redis.set("k", "three", { expiration: { type: "EX", value: 100 } });
    await redis.set("k", "four", { expiration: "KEEPTTL" });
    within(await redis.ttl("k"), 100, 60);
    assert.equal(await redis.getSet("k", "six"), "four");
    assert.equal(await redis.getEx("k", { type: "EX", value: 100 }), "six");
    assert.equal(await redis.getEx("k", { type: "PERSIST" }), "six");
    assert.equal(await redis.append("k", "ty"), 5);
    assert.equal(await redis.strLen("k"), 5);
    assert.equal(await redis.getRange("k", -2, -1), "ty");
    assert.equal(await redis.setRange("k", 5, "!"), 6);
    assert.equal(await redis.getDel("k"), "sixty!");
    assert.equal(await redis.get("k"), null);
    assert.equal(await redis.setNX("k", "1"), 1);
    assert.equal(await redis.setEx("k", 10, "v"), "OK");
    assert.equal(await redis.pSetEx("k", 10000, "v"), "OK");
    await redis.mSet({ a: "ohmytext", b: "mynewtext" });
    assert.equal(await redis.mSetNX({ a: "1", c: "1" }), 0);
    assert.deepEqual(await redis.mGet(["a", "none"]), ["ohmytext", null]);
    assert.equal(await redis.lcs("a", "b"), "mytext");
    assert.equal(await redis.lcsLen("a", "b"), 6);
    const indexes = await redis.lcsIdx("a", "b", { MINMATCHLEN: 3 });
    assert.deepEqual(indexes, { matches: [[[4, 7], [5, 8]]], len: 6 });
    const lengths = await redis.lcsIdxWithMatchLen("a", "b", { MINMATCHLEN: 3 });
    assert.deepEqual(lengths, { matches: [[[4, 7], [5, 8], 4]], len: 6 });
    const bytes = redis.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
    await redis.set("binary", Buffer.from([0, 255, 13, 10]));
    assert.deepEqual(await bytes.get("binary"), Buffer.from([0, 255, 13, 10]));
  });

  test("numbers", async () => {
    assert.equal(await redis.incr("n"), 1);
    assert.equal(await redis.incrBy("n", 10), 11);
    assert.equal(await redis.decr("n"), 10);
    assert.equal(await redis.decrBy("n", 3), 7);
    assert.equal(await redis.incrByFloat("n", 0.5), "7.5");
    await assert.rejects(redis.incr("n"), /ERR value is not an integer or out of range/);
    await assert.rejects(redis.hGet("n", "f"), /^Error: WRONGTYPE|WRONGTYPE/);
  });

  test("hashes", async () => {
    assert.equal(await redis.hSet("h", { a: "1", b: "2", c: "3" }), 3);
    assert.equal(await redis.hSetNX("h", "a", "9"), 0);
    assert.equal(await redis.hGet("h", "a"), "1");
    assert.deepEqual(await redis.hmGet("h", ["a", "none"]), ["1", null]);
    assert.deepEqual({ ...(await redis.hGetAll("h")) }, { a: "1", b: "2", c: "3" });
    assert.deepEqual({ ...(await redis.hGetAll("none")) }, {});
    assert.deepEqual((await redis.hKeys("h")).sort(), ["a", "b", "c"]);
    assert.deepEqual((await redis.hVals("h")).sort(), ["1", "2", "3"]);
    assert.equal(await redis.hLen("h"), 3);
    assert.equal(await redis.hExists("h", "a"), 1);
    assert.equal(await redis.hStrLen("h", "a"), 1);
    assert.equal(await redis.hIncrBy("h", "a", 5), 6);
    assert.equal(await redis.hIncrByFloat("h", "a", 0.25), "6.25");
    assert.ok(["a", "b", "c"].includes(await redis.hRandField("h")));
    assert.equal((await redis.hRandFieldCount("h", -5)).length, 5);
    const pairs = await redis.hRandFieldCountWithValues("h", 3);
    pairs.sort((left, right) => left.field.localeCompare(right.field));
    assert.deepEqual(pairs.map(({ field, value }) => [field, value]), [
      ["a", "6.25"],
      ["b", "2"],
      ["c", "3"],
    ]);
    assert.equal(await redis.hDel("h", ["a", "none"]), 1);
  });

  test("iterators meet every key and field", async () => {
    const wanted = new Set(Array.from({ length: 700 }, (_, n) => `scan:${n}`));
    await redis.mSet([...wanted].map((key) => [key, "x"]));
    const met = new Set();
    for await (const keys of redis.scanIterator({ MATCH: "scan:*", COUNT: 50, TYPE: "string" })) {
      for (const key of keys) met.add(key);
    }
    assert.deepEqual(met, wanted);
    await redis.hSet("h", Object.fromEntries([...wanted].map((key) => [key, "x"])));
    const fields = new Set();
    for await (const entries of redis.hScanIterator("h", { COUNT: 50 })) {
      for (const { field } of entries) fields.add(field);
    }
    assert.deepEqual(fields, wanted);
  });

  test("transactions", async () => {
    assert.deepEqual(await redis.multi().set("a", "1").incr("a").get("a").exec(), ["OK", 2, "2"]);
    assert.deepEqual(await redis.multi().incr("a").get("a").execAsPipeline(), [3, "3"]);
    const failing = redis.multi().incr("a").hGet("a", "f").exec();
    await assert.rejects(failing, (error) => error.replies[0] === 4 && error.errorIndexes[0] === 1);
    const other = await connected();
    await redis.watch("k");
    await other.set("k", "theirs");
    await assert.rejects(redis.multi().set("k", "ours").exec(), /watch/i);
    await redis.watch("k");
    await redis.unwatch();
    assert.deepEqual(await redis.multi().set("k", "ours").exec(), ["OK"]);
    await other.close();
  });

  test("requests of one tick are pipelined", async () => {
    const sums = await Promise.all(Array.from({ length: 500 }, () => redis.incr("n")));
    assert.deepEqual(sums, Array.from({ length: 500 }, (_, n) => n + 1));
  });

  test("the limiter", { skip: !process.env.EAVE_REST_URL }, async () => {
    const take = await redis.sendCommand(["RL.TAKE", "user:1", "1/60s"]);
    const denied = await redis.sendCommand(["RL.TAKE", "user:1", "1/60s"]);
    const allowed = RESP === 2 ? [take[0], denied[0]] : [take.allowed, denied.allowed];
    assert.deepEqual(allowed, [1, 0]);
    if (RESP === 3) {
      assert.deepEqual([denied.limit, denied.remaining, denied.rule], [1, 0, "1/60s"]);
    }
  });
}
