// @upstash/redis over REST: every method that it has for what Eave answers. Its defaults
// are on: base64, automatic pipelining, and the sync token.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { Redis } from "@upstash/redis";
import { FAR_MS, FAR_S, rest, within } from "./support.mjs";

const redis = new Redis({ ...rest(), enableTelemetry: false });
beforeEach(() => redis.flushall());

test("connection and server", async () => {
  assert.equal(await redis.ping(), "PONG");
  assert.equal(await redis.ping(["hello"]), "hello");
  assert.equal(await redis.echo("hello"), "hello");
  const [seconds, micros] = await redis.time();
  assert.ok(Number(seconds) > 1.7e9 && Number(micros) < 1e6);
  await redis.set("k", 1);
  assert.equal(await redis.dbsize(), 1);
  assert.equal(await redis.flushdb(), "OK");
  assert.equal(await redis.flushall({ async: true }), "OK");
  assert.equal(await redis.dbsize(), 0);
  assert.equal(await redis.exec(["CLIENT", "SETINFO", "LIB-NAME", "tester"]), "OK");
});

test("values come back as they were sent", async () => {
  const values = ["text", "OK", "", "8", "T0s=", "grün ✓", 12, 1.5, true, [1, "a"], { a: { b: 1 } }];
  for (const value of values) {
    assert.equal(await redis.set("k", value), "OK");
    const wanted = value === "8" ? 8 : value;
    assert.deepEqual(await redis.get("k"), wanted);
    assert.deepEqual(await redis.mget("k", "k"), [wanted, wanted]);
  }
  assert.equal(await redis.get("none"), null);
  const plain = new Redis({ ...rest(), responseEncoding: false });
  await plain.set("k", "grün ✓");
  assert.equal(await plain.get("k"), "grün ✓");
  const raw = new Redis({ ...rest(), automaticDeserialization: false });
  await raw.set("k", "9007199254740993");
  assert.equal(await raw.get("k"), "9007199254740993");
});

test("keys", async () => {
  await redis.mset({ a: 1, b: 2, c: 3 });
  await redis.hset("h", { f: "v" });
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
  assert.equal(await redis.copy("z", "y"), "COPIED");
  assert.equal(await redis.copy("c", "y"), "NOT_COPIED");
  assert.equal(await redis.copy("c", "y", { replace: true }), "COPIED");
  assert.equal(await redis.del("y", "z", "none"), 2);
  assert.equal(await redis.unlink("b", "c"), 2);
});

test("expiry", async () => {
  await redis.set("k", "v");
  assert.equal(await redis.ttl("k"), -1);
  assert.equal(await redis.ttl("none"), -2);
  assert.equal(await redis.expire("k", 100), 1);
  within(await redis.ttl("k"), 100, 60);
  assert.equal(await redis.expire("k", 50, "gt"), 0);
  assert.equal(await redis.pexpire("k", 100000), 1);
  within(await redis.pttl("k"), 100000, 60000);
  assert.equal(await redis.expireat("k", FAR_S), 1);
  assert.equal(await redis.pexpireat("k", FAR_MS), 1);
  assert.equal(await redis.persist("k"), 1);
  assert.equal(await redis.ttl("k"), -1);
  assert.equal(await redis.pexpire("k", 1), 1);
  while (await redis.exists("k"));
  assert.equal(await redis.get("k"), null);
});

test("strings and numbers", async () => {
  assert.equal(await redis.set("k", "one"), "OK");
  assert.equal(await redis.set("k", "two", { nx: true }), null);
  assert.equal(await redis.set("k", "two", { xx: true, get: true }), "one");
  await redis.set("k", "three", { ex: 100 });
  await redis.set("k", "four", { keepTtl: true });
  within(await redis.ttl("k"), 100, 60);
  await redis.set("k", "five", { pxat: FAR_MS });
  assert.equal(await redis.getset("k", "six"), "five");
  assert.equal(await redis.getex("k", { ex: 100 }), "six");
  assert.equal(await redis.getex("k", { persist: true }), "six");
  assert.equal(await redis.append("k", "ty"), 5);
  assert.equal(await redis.strlen("k"), 5);
  assert.equal(await redis.getrange("k", -2, -1), "ty");
  assert.equal(await redis.setrange("k", 5, "!"), 6);
  assert.equal(await redis.getdel("k"), "sixty!");
  assert.equal(await redis.setnx("k", 1), 1);
  assert.equal(await redis.setex("k", 10, "v"), "OK");
  assert.equal(await redis.psetex("k", 10000, "v"), "OK");
  assert.equal(await redis.msetnx({ k: 1, l: 1 }), 0);
  assert.equal(await redis.incr("n"), 1);
  assert.equal(await redis.incrby("n", 10), 11);
  assert.equal(await redis.decr("n"), 10);
  assert.equal(await redis.decrby("n", 3), 7);
  assert.equal(await redis.incrbyfloat("n", 0.5), 7.5);
  await assert.rejects(redis.incr("k"), /ERR value is not an integer or out of range/);
});

test("hashes", async () => {
  assert.equal(await redis.hset("h", { a: 1, b: "two", c: { deep: true } }), 3);
  assert.equal(await redis.hmset("h", { d: 4 }), "OK");
  assert.equal(await redis.hsetnx("h", "a", 9), 0);
  assert.equal(await redis.hget("h", "a"), 1);
  assert.deepEqual(await redis.hmget("h", "a", "none"), { a: 1, none: null });
  assert.deepEqual(await redis.hgetall("h"), { a: 1, b: "two", c: { deep: true }, d: 4 });
  assert.equal(await redis.hgetall("none"), null);
  assert.deepEqual((await redis.hkeys("h")).sort(), ["a", "b", "c", "d"]);
  assert.equal((await redis.hvals("h")).length, 4);
  assert.equal(await redis.hlen("h"), 4);
  assert.equal(await redis.hexists("h", "a"), 1);
  assert.equal(await redis.hstrlen("h", "b"), 3);
  assert.equal(await redis.hincrby("h", "a", 5), 6);
  assert.equal(await redis.hincrbyfloat("h", "a", 0.25), 6.25);
  assert.ok(["a", "b", "c", "d"].includes(await redis.hrandfield("h")));
  assert.equal((await redis.hrandfield("h", 2)).length, 2);
  assert.equal(Object.keys(await redis.hrandfield("h", 4, true)).length, 4);
  assert.equal(await redis.hdel("h", "a", "none"), 1);
  await assert.rejects(redis.get("h"), /WRONGTYPE/);
});

test("scans meet every key and field", async () => {
  const wanted = new Set(Array.from({ length: 300 }, (_, n) => `scan:${n}`));
  await redis.mset(Object.fromEntries([...wanted].map((key) => [key, "x"])));
  await redis.hset("h", Object.fromEntries([...wanted].map((key) => [key, "x"])));
  const met = new Set();
  let cursor = "0";
  do {
    const [next, keys] = await redis.scan(cursor, { match: "scan:*", count: 50, type: "string" });
    for (const key of keys) met.add(key);
    cursor = next;
  } while (cursor !== "0");
  assert.deepEqual(met, wanted);
  const fields = new Set();
  do {
    const [next, pairs] = await redis.hscan("h", cursor, { count: 50 });
    for (let at = 0; at < pairs.length; at += 2) fields.add(pairs[at]);
    cursor = String(next);
  } while (cursor !== "0");
  assert.deepEqual(fields, wanted);
});

test("pipelines", async () => {
  const replies = await redis.pipeline().set("a", 1).incr("a").get("a").mget("a", "none").exec();
  assert.deepEqual(replies, ["OK", 2, 2, [2, null]]);
  const failing = redis.pipeline().set("a", "x").incr("a").get("a");
  await assert.rejects(failing.exec(), /Command 2 \[ incr \] failed: ERR value is not an integer/);
  const kept = await redis.pipeline().set("a", "x").incr("a").get("a").exec({ keepErrors: true });
  assert.equal(kept[0].result, "OK");
  assert.match(kept[1].error, /ERR value is not an integer/);
  assert.equal(kept[2].result, "x");
});

test("transactions", async () => {
  assert.deepEqual(await redis.multi().set("a", 1).incr("a").get("a").exec(), ["OK", 2, 2]);
  const kept = await redis.multi().set("a", "x").incr("a").get("a").exec({ keepErrors: true });
  assert.match(kept[1].error, /ERR value is not an integer/);
  assert.equal(kept[2].result, "x");
});

test("a transaction that is refused as a whole changes nothing", async () => {
  await redis.set("a", "before");
  const refused = redis.multi().set("a", "after");
  refused.chain({ command: ["nosuchcommand"], deserialize: (reply) => reply });
  await assert.rejects(refused.exec(), /UpstashError|ERR|EXECABORT/);
  assert.equal(await redis.get("a"), "before");
});

test("automatic pipelining keeps every answer with its question", async () => {
  const sums = await Promise.all(Array.from({ length: 200 }, () => redis.incr("n")));
  assert.deepEqual(sums, Array.from({ length: 200 }, (_, n) => n + 1));
  await redis.set("text", "x");
  const settled = await Promise.allSettled([redis.incr("text"), redis.incr("n"), redis.get("n")]);
  assert.deepEqual(settled.map(({ status }) => status), ["rejected", "fulfilled", "fulfilled"]);
  assert.match(settled[0].reason.message, /ERR value is not an integer/);
});

test("the sync token moves with every write", async () => {
  const one = new Redis({ ...rest(), enableAutoPipelining: false });
  const tokens = [];
  const note = () => tokens.push(one.readYourWritesSyncToken);
  await one.set("k", "same").then(note);
  await one.set("k", "same").then(note);
  await one.pipeline().set("k", "same").exec().then(note);
  await one.multi().set("k", "same").exec().then(note);
  assert.ok(tokens.every(Boolean), `${tokens}`);
  assert.equal(new Set(tokens).size, tokens.length, `${tokens}`);
  one.readYourWritesSyncToken = "my-new-sync-token";
  assert.equal(await one.get("k"), "same");
});

test("a wrong token is told apart from a wrong command", async () => {
  const wrong = new Redis({ ...rest(), token: "wrong", retry: false });
  await assert.rejects(wrong.get("k"), /WRONGPASS/);
  const refused = redis.exec(["NOSUCHCOMMAND", "x"]);
  await assert.rejects(refused, /ERR/);
});

test("a value of a megabyte", async () => {
  const value = "x".repeat(1 << 20);
  await redis.set("big", value);
  assert.equal(await redis.get("big"), value);
});

test("the limiter as a command", async () => {
  const take = () => redis.exec(["RL.TAKE", "user:1", "1/60s"]);
  assert.deepEqual((await take()).slice(0, 3), [1, 1, 0]);
  assert.deepEqual((await take()).slice(0, 3), [0, 1, 0]);
});
