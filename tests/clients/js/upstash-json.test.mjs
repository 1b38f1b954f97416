// @upstash/redis over REST: every method of redis.json, base64 and automatic pipelining on.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { Redis } from "@upstash/redis";
import { rest } from "./support.mjs";

const redis = new Redis({ ...rest(), enableTelemetry: false });
const { json } = redis;
beforeEach(() => redis.flushall());

const product = {
  name: "Noise-cancelling Bluetooth headphones",
  connection: { wireless: true, type: "Bluetooth" },
  price: 99.98,
  stock: 25,
  colors: ["black", "silver"],
};

test("set and get", async () => {
  assert.equal(await json.set("k", "$", product), "OK");
  assert.deepEqual(await json.get("k"), product);
  assert.deepEqual(await json.get("k", "$"), [product]);
  assert.equal(await redis.type("k"), "ReJSON-RL");
  assert.equal(await json.set("k", "$.price", 3), "OK");
  assert.equal(await json.set("k", "$.new", { a: null }), "OK");
  assert.deepEqual(await json.get("k", "$.price", "$.new"), { "$.price": [3], "$.new": [{ a: null }] });
  assert.equal(await json.set("k", "$", {}, { nx: true }), null);
  assert.equal(await json.set("none", "$", {}, { xx: true }), null);
  assert.equal(await json.set("k", "$", {}, { xx: true }), "OK");
  assert.deepEqual(await json.get("k", { indent: "  ", newline: "\n", space: " " }, "$"), [{}]);
  assert.equal(await json.get("none", "$"), null);
  await assert.rejects(json.set("none", "$.a", 1), /new objects must be created at the root/);
  await assert.rejects(json.set("k", "$", "unquoted"), /expected value/);
});

test("what lies deeper comes first", async () => {
  await json.set("k", "$", { a: 2, b: 3, nested: { a: 4, b: null } });
  assert.deepEqual(await json.get("k", "$..b"), [null, 3]);
  assert.deepEqual(await json.get("k", "$..a", "$..b"), { "$..b": [null, 3], "$..a": [4, 2] });
});

test("a key at any depth is set at the root too", async () => {
  await json.set("k", "$", { f1: { a: 1 }, f2: { a: 2 } });
  await json.set("k", "$..a", 3);
  assert.deepEqual(await json.get("k", "$"), [{ f1: { a: 3 }, f2: { a: 3 }, a: 3 }]);
});

test("several keys", async () => {
  const set = [
    { key: "k1", path: "$", value: { a: 1 } },
    { key: "k2", path: "$", value: { a: [2] } },
  ];
  assert.equal(await json.mset(...set), "OK");
  assert.deepEqual(await json.mget(["k1", "none", "k2"], "$.a"), [[1], null, [[2]]]);
});

test("arrays", async () => {
  await json.set("k", "$", product);
  assert.deepEqual(await json.arrappend("k", "$.colors", '"blue"'), [3]);
  assert.deepEqual(await json.arrinsert("k", "$.colors", 2, '"yellow"', '"gold"'), [5]);
  assert.deepEqual(await json.arrindex("k", "$..colors", '"silver"'), [1]);
  assert.deepEqual(await json.arrindex("k", "$..colors", '"silver"', 2, 0), [-1]);
  assert.deepEqual(await json.arrlen("k", "$.colors"), [5]);
  assert.deepEqual(await json.arrpop("k", "$.colors", 0), ["black"]);
  assert.deepEqual(await json.arrpop("k", "$.colors"), ["blue"]);
  assert.deepEqual(await json.arrtrim("k", "$.colors", 1, 1), [1]);
  assert.deepEqual(await json.get("k", "$.colors"), [["yellow"]]);
  assert.deepEqual(await json.arrtrim("k", "$.colors"), [1]);
});

test("numbers, strings and truths", async () => {
  await json.set("k", "$", { a: "b", b: [{ a: 2 }, { a: 5 }, { a: "c" }], on: true });
  assert.deepEqual(await json.numincrby("k", "$.a", 2), [null]);
  assert.deepEqual((await json.numincrby("k", "$..a", 2)).sort(), [4, 7, null, null]);
  assert.deepEqual(await json.nummultby("k", "$.b[0].a", 2.5), [10]);
  assert.deepEqual(await json.strappend("k", "$.a", '"cd"'), [3]);
  assert.deepEqual((await json.strlen("k", "$..a")).sort(), [1, 3, null, null]);
  assert.deepEqual(await json.toggle("k", "$.on"), [0]);
  assert.deepEqual(await json.get("k", "$.on", "$.a"), { "$.on": [false], "$.a": ["bcd"] });
});

test("objects and types", async () => {
  await json.set("k", "$", { a: [3], nested: { a: { b: 2, c: 1 } } });
  assert.deepEqual(await json.objkeys("k", "$..a"), [["b", "c"], null]);
  assert.deepEqual(await json.objlen("k", "$..a"), [2, null]);
  assert.deepEqual(await json.type("k", "$..a"), ["object", "array"]);
  assert.deepEqual(await json.resp("k", "$.nested.a"), [["{", "b", 2, "c", 1]]);
  assert.equal((await json.resp("k")).length, 5);
});

test("clear, del, forget, merge", async () => {
  const text = '{"obj":{"a":1,"b":2},"arr":[1,2,3],"str":"foo","bool":true,"int":42,"float":3.14}';
  await json.set("k", "$", text);
  assert.equal(await json.clear("k", "$.*"), 4);
  assert.deepEqual(await json.get("k", "$"), [
    { obj: {}, arr: [], str: "foo", bool: true, int: 0, float: 0 },
  ]);
  assert.equal(await json.del("k", "$.obj"), 1);
  assert.equal(await json.forget("k", "$.arr"), 1);
  assert.equal(await json.merge("k", "$", { str: null, int: { a: [1] } }), "OK");
  assert.deepEqual(await json.get("k"), { bool: true, int: { a: [1] }, float: 0 });
  assert.equal(await json.del("k"), 1);
  assert.equal(await redis.exists("k"), 0);
});

test("in pipelines and transactions", async () => {
  const pipeline = redis.pipeline();
  pipeline.json.set("k", "$", { n: 1 });
  pipeline.json.numincrby("k", "$.n", 41);
  pipeline.json.get("k", "$.n");
  assert.deepEqual(await pipeline.exec(), ["OK", [42], [42]]);
  const transaction = redis.multi();
  transaction.json.arrappend("k", "$.n", 1);
  transaction.json.get("k");
  assert.deepEqual(await transaction.exec(), [[null], { n: 42 }]);
});

test("what is not there yet says so", async () => {
  for (const command of [["ARSET", "k", "0", "v"], ["VECTOR.INFO", "i"], ["SEARCH.QUERY", "i", "{}"]]) {
    await assert.rejects(redis.exec(command), /Command is not available yet: '/);
  }
});
