// ioredis, over RESP3, its own choice: every method that it has for what Eave answers.

import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { Redis } from "ioredis";
import { FAR_MS, FAR_S, resp, within } from "./support.mjs";

let redis;
before(() => {
  redis = new Redis(resp());
});
beforeEach(() => redis.flushall());
after(() => redis.quit());

test("connection", async () => {
  assert.equal(await redis.ping(), "PONG");
  assert.equal(await redis.ping("hello"), "hello");
  assert.equal(await redis.echo("hello"), "hello");
  assert.equal(await redis.select(1), "OK");
  await redis.set("k", 1);
  assert.equal(await redis.dbsize(), 1);
  assert.equal(await redis.select(0), "OK");
  assert.equal(await redis.dbsize(), 0);
  assert.ok((await redis.client("ID")) > 0);
  assert.equal(await redis.client("SETNAME", "tester"), "OK");
  assert.equal(await redis.client("GETNAME"), "tester");
  assert.match(await redis.client("INFO"), /name=tester/);
  assert.match(await redis.client("LIST"), /name=tester/);
  const [seconds, micros] = await redis.time();
  assert.ok(Number(seconds) > 1.7e9 && Number(micros) < 1e6);
});

test("server", async () => {
  assert.match(await redis.info(), /redis_version:/);
  assert.match(await redis.info("server"), /# Server/);
  assert.ok((await redis.command("COUNT")) > 50);
  assert.equal((await redis.command("INFO", "get"))[0][0], "get");
  assert.deepEqual(await redis.command("GETKEYS", "MSET", "a", 1, "b", 2), ["a", "b"]);
  assert.ok((await redis.command("LIST")).includes("get"));
  assert.equal((await redis.command("DOCS", "get"))[0], "get");
  assert.deepEqual((await redis.config("GET", "maxmemory"))[0], "maxmemory");
  assert.equal(await redis.config("SET", "maxmemory", "0"), "OK");
  await redis.set("k", 1);
  assert.equal(await redis.flushdb(), "OK");
  assert.equal(await redis.flushall("ASYNC"), "OK");
  assert.equal(await redis.dbsize(), 0);
});

test("keys", async () => {
  await redis.mset("a", 1, "b", 2, "c", 3);
  await redis.hset("h", "f", "v");
  assert.equal(await redis.exists("a", "a", "none"), 2);
  assert.equal(await redis.touch("a", "none"), 1);
  assert.equal(await redis.type("a"), "string");
  assert.equal(await redis.type("h"), "hash");
  assert.equal(await redis.type("none"), "none");
  assert.deepEqual((await redis.keys("[ab]")).sort(), ["a", "b"]);
  assert.ok(["a", "b", "c", "h"].includes(await redis.randomkey()));
  assert.equal(await redis.rename("a", "z"), "OK");
  assert.equal(await redis.renamenx("b", "z"), 0);
  await assert.rejects(redis.rename("none", "x"), /ERR no such key/);
  assert.equal(await redis.copy("z", "y"), 1);
  assert.equal(await redis.copy("c", "y"), 0);
  assert.equal(await redis.copy("c", "y", "REPLACE"), 1);
  assert.equal(await redis.get("y"), "3");
  assert.equal(await redis.object("ENCODING", "y"), "int");
  assert.equal(await redis.del("y", "z", "none"), 2);
  assert.equal(await redis.unlink("b", "c"), 2);
});

test("expiry", async () => {
  await redis.set("k", "v");
  assert.equal(await redis.ttl("k"), -1);
  assert.equal(await redis.ttl("none"), -2);
  assert.equal(await redis.expire("k", 100), 1);
  within(await redis.ttl("k"), 100, 60);
  assert.equal(await redis.expire("k", 50, "GT"), 0);
  assert.equal(await redis.expire("k", 200, "XX"), 1);
  assert.equal(await redis.pexpire("k", 100000), 1);
  within(await redis.pttl("k"), 100000, 60000);
  assert.equal(await redis.expireat("k", FAR_S), 1);
  assert.equal(await redis.expiretime("k"), FAR_S);
  assert.equal(await redis.pexpireat("k", FAR_MS), 1);
  assert.equal(await redis.pexpiretime("k"), FAR_MS);
  assert.equal(await redis.persist("k"), 1);
  assert.equal(await redis.ttl("k"), -1);
  assert.equal(await redis.pexpire("k", 1), 1);
  while (await redis.exists("k"));
  assert.equal(await redis.get("k"), null);
  await redis.set("k", "v");
  assert.equal(await redis.expireat("k", 1), 1);
  assert.equal(await redis.exists("k"), 0);
});

test("strings", async () => {
  assert.equal(await redis.set("k", "one"), "OK");
  assert.equal(await redis.set("k", "two", "NX"), null);
  assert.equal(await redis.set("k", "two", "XX", "GET"), "one");
  assert.equal(await redis.set("k", "three", "EX", 100), "OK");
  assert.equal(await redis.set("k", "four", "KEEPTTL"), "OK");
  within(await redis.ttl("k"), 100, 60);
  assert.equal(await redis.set("k", "five", "PXAT", FAR_MS), "OK");
  assert.equal(await redis.getset("k", "six"), "five");
  assert.equal(await redis.getex("k", "EX", 100), "six");
  assert.equal(await redis.getex("k", "PERSIST"), "six");
  assert.equal(await redis.ttl("k"), -1);
  assert.equal(await redis.append("k", "ty"), 5);
  assert.equal(await redis.strlen("k"), 5);
  assert.equal(await redis.getrange("k", 0, 2), "six");
  assert.equal(await redis.substr("k", -2, -1), "ty");
  assert.equal(await redis.setrange("k", 6, "!"), 7);
  assert.deepEqual(await redis.getBuffer("k"), Buffer.from("sixty\0!"));
  assert.equal(await redis.getdel("k"), "sixty\0!");
  assert.equal(await redis.get("k"), null);
  assert.equal(await redis.setnx("k", 1), 1);
  assert.equal(await redis.setex("k", 10, "v"), "OK");
  assert.equal(await redis.psetex("k", 10000, "v"), "OK");
  assert.equal(await redis.mset({ a: "ohmytext", b: "mynewtext" }), "OK");
  assert.equal(await redis.msetnx("a", 1, "c", 1), 0);
  assert.deepEqual(await redis.mget("a", "none", "b"), ["ohmytext", null, "mynewtext"]);
  assert.equal(await redis.lcs("a", "b"), "mytext");
  assert.equal(await redis.lcs("a", "b", "LEN"), 6);
  const binary = Buffer.from([0, 255, 13, 10, 0]);
  await redis.set("binary", binary);
  assert.deepEqual(await redis.getBuffer("binary"), binary);
});

test("numbers", async () => {
  assert.equal(await redis.incr("n"), 1);
  assert.equal(await redis.incrby("n", 10), 11);
  assert.equal(await redis.decr("n"), 10);
  assert.equal(await redis.decrby("n", 3), 7);
  assert.equal(await redis.incrbyfloat("n", 0.5), "7.5");
  await redis.set("n", "9223372036854775807");
  await assert.rejects(redis.incr("n"), /ERR increment or decrement would overflow/);
  await redis.hset("n2", "f", "v");
  await assert.rejects(redis.incr("n2"), /^ReplyError: WRONGTYPE Operation against a key/);
});

test("hashes", async () => {
  assert.equal(await redis.hset("h", { a: 1, b: 2 }), 2);
  assert.equal(await redis.hmset("h", "c", 3), "OK");
  assert.equal(await redis.hsetnx("h", "a", 9), 0);
  assert.equal(await redis.hget("h", "a"), "1");
  assert.deepEqual(await redis.hmget("h", "a", "none"), ["1", null]);
  assert.deepEqual(await redis.hgetall("h"), { a: "1", b: "2", c: "3" });
  assert.deepEqual(await redis.hgetall("none"), {});
  assert.deepEqual((await redis.hkeys("h")).sort(), ["a", "b", "c"]);
  assert.deepEqual((await redis.hvals("h")).sort(), ["1", "2", "3"]);
  assert.equal(await redis.hlen("h"), 3);
  assert.equal(await redis.hexists("h", "a"), 1);
  assert.equal(await redis.hstrlen("h", "a"), 1);
  assert.equal(await redis.hincrby("h", "a", 5), 6);
  assert.equal(await redis.hincrbyfloat("h", "a", 0.25), "6.25");
  assert.ok(["a", "b", "c"].includes(await redis.hrandfield("h")));
  assert.equal((await redis.hrandfield("h", 2, "WITHVALUES")).length, 4);
  assert.equal((await redis.hrandfield("h", -5)).length, 5);
  assert.equal(await redis.hdel("h", "a", "none"), 1);
  assert.equal(await redis.hdel("h", "b", "c"), 1 + 1);
  assert.equal(await redis.exists("h"), 0);
});

test("scan streams meet every key and field", async () => {
  const wanted = new Set(Array.from({ length: 700 }, (_, n) => `scan:${n}`));
  await redis.mset([...wanted].flatMap((key) => [key, "x"]));
  await redis.set("other", 1);
  const met = new Set();
  for await (const keys of redis.scanStream({ match: "scan:*", count: 50 })) {
    for (const key of keys) met.add(key);
  }
  assert.deepEqual(met, wanted);
  await redis.hset("h", Object.fromEntries([...wanted].map((key) => [key, "x"])));
  const fields = new Set();
  for await (const pairs of redis.hscanStream("h", { count: 50 })) {
    for (let at = 0; at < pairs.length; at += 2) fields.add(pairs[at]);
  }
  assert.deepEqual(fields, wanted);
  const [cursor, typed] = await redis.scan(0, "COUNT", 10000, "TYPE", "hash");
  assert.deepEqual([cursor, typed], ["0", ["h"]]);
});

test("pipelines and transactions", async () => {
  const piped = await redis.pipeline().set("a", 1).hget("a", "f").incr("a").exec();
  assert.deepEqual([piped[0], piped[2]], [[null, "OK"], [null, 2]]);
  assert.match(piped[1][0].message, /^WRONGTYPE/);
  assert.deepEqual(await redis.multi().incr("a").get("a").exec(), [[null, 3], [null, "3"]]);
  await assert.rejects(redis.multi().incr("a").call("NOSUCH").exec(), /EXECABORT/);
  assert.equal(await redis.get("a"), "3");
  await redis.multi({ pipeline: false });
  assert.equal(await redis.incr("a"), "QUEUED");
  assert.equal(await redis.discard(), "OK");
  assert.equal(await redis.get("a"), "3");
});

test("a watched key that changed stops the transaction", async () => {
  const other = redis.duplicate();
  await redis.watch("k");
  await other.set("k", "theirs");
  assert.equal(await redis.multi().set("k", "ours").exec(), null);
  await redis.watch("k");
  await other.set("k", "theirs again");
  assert.equal(await redis.unwatch(), "OK");
  assert.deepEqual(await redis.multi().set("k", "ours").exec(), [[null, "OK"]]);
  await other.quit();
});

test("automatic pipelining", async () => {
  const auto = new Redis({ ...resp(), enableAutoPipelining: true });
  const sums = await Promise.all(Array.from({ length: 500 }, () => auto.incr("n")));
  assert.deepEqual(sums, Array.from({ length: 500 }, (_, n) => n + 1));
  await auto.quit();
});

test("the limiter", { skip: !process.env.EAVE_REST_URL }, async () => {
  // ioredis speaks RESP3, where a decision is a map, and lays maps out flat.
  const numbers = (reply) => (reply[0] === "allowed" ? reply.filter((_, n) => n % 2) : reply);
  const call = async (...argv) => numbers(await redis.call(...argv));
  const take = (...rest) => call("RL.TAKE", "user:1", "3/60s", ...rest);
  assert.deepEqual((await take()).slice(0, 4), [1, 3, 2, 0]);
  assert.deepEqual((await take("COST", "2")).slice(0, 4), [1, 3, 0, 0]);
  const [allowed, limit, remaining, retryAfter] = await take();
  assert.deepEqual([allowed, limit, remaining], [0, 3, 0]);
  assert.ok(retryAfter > 0 && retryAfter <= 61000, `retry after ${retryAfter}`);
  assert.deepEqual((await take("COST", "4")).slice(0, 4), [0, 3, 0, -1]);
  assert.equal(await redis.type("user:1"), "ratelimit");
  assert.equal((await call("RL.PEEK", "user:1", "3/60s"))[2], 0);
  assert.equal((await call("RL.GIVE", "user:1", "3/60s", "1"))[2], 1);
  assert.equal(await redis.call("RL.RESET", "user:1"), 1);
  assert.deepEqual((await take()).slice(0, 3), [1, 3, 2]);
  await assert.rejects(redis.call("RL.TAKE", "user:1", "nonsense"), /ERR invalid rule/);
});
