// Every command that @upstash/redis types, through its own methods with automatic pipelining on:
// what REST answers is held against the same command over RESP, in another database. Two versions
// of the package, the current one and 1.34.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { Redis as Current } from "@upstash/redis";
import Client from "ioredis";
import { Redis as Older } from "upstash-redis-1.34";
import { FAR_MS, FAR_S, resp, rest } from "./support.mjs";

const over = new Client({ ...resp(), db: 1, protocol: 2 });
after(() => over.disconnect());

/** What was sent over REST since the last look: commands, and what was answered to each. */
let sent = [];
const plain = globalThis.fetch;
globalThis.fetch = async (url, options) => {
  const response = await plain(url, options);
  const body = JSON.parse(options.body);
  const answer = await response.clone().json();
  const path = new URL(url).pathname;
  if (path === "/") sent.push([body, answer]);
  else if (Array.isArray(answer)) answer.forEach((one, at) => sent.push([body[at], one]));
  else sent.push([body, answer]);
  return response;
};

/** A reply of REST as RESP has it: strings are base64, but for a status OK at the top. */
function decoded(value, top = true) {
  if (Array.isArray(value)) return value.map((one) => decoded(one, false));
  if (typeof value !== "string" || (top && value === "OK")) return value;
  return Buffer.from(value, "base64").toString();
}

/** Replies whose order says nothing. */
const UNORDERED =
  /^(keys|scan|sscan|smembers|sdiff|sinter|sunion|hkeys|hvals|hgetall|hscan|hrandfield|srandmember|spop)$/i;
const sorted = (value) =>
  Array.isArray(value) ? value.map(sorted).sort((a, b) => (`${a}` < `${b}` ? -1 : 1)) : value;

/** A reply without what passes between two looks: times to live, and how long somebody is idle. */
function rough(value) {
  if (!Array.isArray(value)) return typeof value === "number" && value > 40 ? "some" : value;
  const isIdle = (_, at) => /^(idle|inactive)$/.test(value[at - 1]) || (value.length === 4 && at === 2);
  return value.map((one, at) => (isIdle(one, at) && typeof one === "number" ? "some" : rough(one)));
}

/** Replies that are a moment's; libraries of functions are those of all databases. */
const OF_ITS_OWN = /^(time|function delete.*)$/i;

async function same([argv, answer]) {
  const name = String(argv[0]);
  const words = argv.map(String);
  if (OF_ITS_OWN.test(words.join(" "))) return assert.notEqual(answer.result, undefined);
  let wanted;
  try {
    wanted = { result: await over.call(...words) };
  } catch (error) {
    wanted = { error: error.message };
  }
  if (answer.error !== undefined || wanted.error !== undefined) {
    assert.equal(answer.error, wanted.error, words.join(" "));
    return;
  }
  let [ours, theirs] = [decoded(answer.result), wanted.result];
  // ioredis makes an object of it.
  if (/^hgetall$/i.test(name)) theirs = Object.entries(theirs).flat();
  if (UNORDERED.test(name)) [ours, theirs] = [sorted(ours), sorted(theirs)];
  if (/^(ttl|pttl|httl|hpttl|xpending|xinfo)$/i.test(name)) [ours, theirs] = [ours, theirs].map(rough);
  assert.deepEqual(ours, theirs, words.join(" "));
}

const SCRIPT = "return {KEYS[1], ARGV[1], redis.call('GET', KEYS[1])}";
const SHA = "efd5fbeacea04f1af8cb22dbe513464b1a604400";
const LIBRARY = `#!lua name=lib
redis.register_function('put', function(keys, args) return redis.call('SET', keys[1], args[1]) end)
redis.register_function{function_name='look', flags={'no-writes'},
  callback=function(keys) return redis.call('GET', keys[1]) end}`;

/**
 * What is called, one after the other: the method's name, and a call. `alone` is without automatic
 * pipelining, which the builder of BITFIELD does not work with.
 */
const calls = (r, alone) => [
  ["set", () => r.set("s", "value")],
  ["set", () => r.set("s2", { a: 1 }, { ex: 100, nx: true })],
  ["set", () => r.set("s2", "x", { get: true, keepTtl: true, xx: true })],
  ["set", () => r.set("s2", "y", { pxat: FAR_MS })],
  ["append", () => r.append("s", "more")],
  ["get", () => r.get("s")],
  ["getrange", () => r.getrange("s", 1, -2)],
  ["setrange", () => r.setrange("s", 2, "xyz")],
  ["strlen", () => r.strlen("s")],
  ["getset", () => r.getset("s", "other")],
  ["getex", () => r.getex("s", { ex: 100 })],
  ["getex", () => r.getex("s", { persist: true })],
  ["setex", () => r.setex("e", 100, "v")],
  ["psetex", () => r.psetex("p", 100000, "v")],
  ["setnx", () => r.setnx("e", "w")],
  ["mset", () => r.mset({ m1: 1, m2: "two", m3: [3] })],
  ["msetnx", () => r.msetnx({ m1: 1, m9: 2 })],
  ["mget", () => r.mget("m1", "m2", "m3", "none")],
  ["getdel", () => r.getdel("m3")],
  ["incr", () => r.incr("n")],
  ["incrby", () => r.incrby("n", 41)],
  ["decr", () => r.decr("n")],
  ["decrby", () => r.decrby("n", 7)],
  ["incrbyfloat", () => r.incrbyfloat("f", 1.5)],
  ["incr", () => r.incr("s")],
  ["setbit", () => r.setbit("b", 7, 1)],
  ["getbit", () => r.getbit("b", 7)],
  ["bitcount", () => r.bitcount("b", 0, 10)],
  ["bitpos", () => r.bitpos("b", 1, 0, 1)],
  ["bitop", () => r.bitop("and", "b2", "b", "s")],
  ["bitop", () => r.bitop("or", "b2", "b", "s")],
  ["bitop", () => r.bitop("xor", "b2", "b", "s")],
  ["bitop", () => r.bitop("not", "b2", "b")],
  ["bitop", () => r.bitop("diff", "b2", "b", "s")],
  ["bitop", () => r.bitop("diff1", "b2", "b", "s")],
  ["bitop", () => r.bitop("andor", "b2", "b", "s")],
  ["bitop", () => r.bitop("one", "b2", "b", "s")],
  ["bitfield", () => alone.bitfield("bf").set("u8", 0, 255).overflow("SAT").incrby("u8", 0, 10).get("u8", 0).exec()],
  ["copy", () => r.copy("s", "s3")],
  ["exists", () => r.exists("s", "s3", "none")],
  ["touch", () => r.touch("s", "none")],
  ["type", () => r.type("s")],
  ["rename", () => r.rename("s3", "s4")],
  ["renamenx", () => r.renamenx("s4", "s")],
  ["expire", () => r.expire("s", 100)],
  ["expire", () => r.expire("s", 50, "GT")],
  ["expireat", () => r.expireat("s", FAR_S)],
  ["pexpire", () => r.pexpire("s", 100000)],
  ["pexpireat", () => r.pexpireat("s", FAR_MS)],
  ["ttl", () => r.ttl("s")],
  ["pttl", () => r.pttl("s")],
  ["persist", () => r.persist("s")],
  ["del", () => r.del("s4", "none")],
  ["unlink", () => r.unlink("s2")],
  ["keys", () => r.keys("m*")],
  ["scan", () => r.scan(0, { match: "*", count: 1000 })],
  ["scan", () => r.scan("0", { type: "string", count: 1000 })],
  ["dbsize", () => r.dbsize()],
  ["hset", () => r.hset("h", { a: 1, b: "two", c: { d: 3 } })],
  ["hmset", () => r.hmset("h", { e: 5 })],
  ["hsetnx", () => r.hsetnx("h", "a", 9)],
  ["hget", () => r.hget("h", "c")],
  ["hmget", () => r.hmget("h", "a", "none")],
  ["hgetall", () => r.hgetall("h")],
  ["hkeys", () => r.hkeys("h")],
  ["hvals", () => r.hvals("h")],
  ["hlen", () => r.hlen("h")],
  ["hexists", () => r.hexists("h", "a")],
  ["hstrlen", () => r.hstrlen("h", "b")],
  ["hincrby", () => r.hincrby("h", "a", 4)],
  ["hincrbyfloat", () => r.hincrbyfloat("h", "a", 0.5)],
  ["hrandfield", () => r.hrandfield("h", 10, true)],
  ["hscan", () => r.hscan("h", 0, { count: 100 })],
  ["hdel", () => r.hdel("h", "e", "none")],
  ["hexpire", () => r.hexpire("h", "a", 100)],
  ["hexpireat", () => r.hexpireat("h", "a", FAR_S)],
  ["hexpireat", () => r.hexpireat("h", "a", FAR_MS)],
  ["hpexpire", () => r.hpexpire("h", ["a", "none"], 100000, "XX")],
  ["hpexpireat", () => r.hpexpireat("h", "a", FAR_MS)],
  ["httl", () => r.httl("h", ["a", "b"])],
  ["hpttl", () => r.hpttl("h", "a")],
  ["hexpiretime", () => r.hexpiretime("h", "a")],
  ["hpexpiretime", () => r.hpexpiretime("h", "a")],
  ["hpersist", () => r.hpersist("h", "a")],
  ["hsetex", () => r.hsetex("h", { expiration: { ex: 100 }, conditional: "FNX" }, { x: 1, y: 2 })],
  ["hgetex", () => r.hgetex("h", { ex: 200 }, "x", "none")],
  ["hgetdel", () => r.hgetdel("h", "x", "none")],
  ["rpush", () => r.rpush("l", "a", "b", "c", "b")],
  ["lpush", () => r.lpush("l", 1, { two: 2 })],
  ["lpushx", () => r.lpushx("none", "x")],
  ["rpushx", () => r.rpushx("l", "z")],
  ["lrange", () => r.lrange("l", 0, -1)],
  ["lindex", () => r.lindex("l", 1)],
  ["llen", () => r.llen("l")],
  ["linsert", () => r.linsert("l", "before", "c", "new")],
  ["lset", () => r.lset("l", 0, "first")],
  ["lset", () => r.lset("l", 100, "beyond")],
  ["lpos", () => r.lpos("l", "b")],
  ["lpos", () => r.lpos("l", "b", { rank: 1, count: 2, maxLen: 10 })],
  ["lrem", () => r.lrem("l", 1, "b")],
  ["lmove", () => r.lmove("l", "l2", "left", "right")],
  ["lmpop", () => r.lmpop(2, ["none", "l2"], "LEFT", 2)],
  ["ltrim", () => r.ltrim("l", 0, 3)],
  ["lpop", () => r.lpop("l")],
  ["rpop", () => r.rpop("l", 2)],
  ["sadd", () => r.sadd("set", "a", "b", "c", 4)],
  ["sadd", () => r.sadd("set2", "b", "c", "x")],
  ["scard", () => r.scard("set")],
  ["sismember", () => r.sismember("set", "a")],
  ["smismember", () => r.smismember("set", ["a", "none"])],
  ["smembers", () => r.smembers("set")],
  ["sdiff", () => r.sdiff("set", "set2")],
  ["sinter", () => r.sinter("set", "set2")],
  ["sintercard", () => r.sintercard(["set", "set2"], { limit: 1 })],
  ["sunion", () => r.sunion("set", "set2")],
  ["sdiffstore", () => r.sdiffstore("set3", "set", "set2")],
  ["sinterstore", () => r.sinterstore("set4", "set", "set2")],
  ["sunionstore", () => r.sunionstore("set5", "set", "set2")],
  ["smove", () => r.smove("set", "set2", "a")],
  ["srem", () => r.srem("set", "b")],
  ["sscan", () => r.sscan("set5", 0, { count: 100 })],
  ["srandmember", () => r.srandmember("set5", 100)],
  ["spop", () => r.spop("set5", 100)],
  ["zadd", () => r.zadd("z", { score: 1, member: "one" }, { score: 2.5, member: "two" }, { score: 3, member: "three" })],
  ["zadd", () => r.zadd("z", { nx: true, ch: true }, { score: 4, member: "four" })],
  ["zadd", () => r.zadd("z", { incr: true, gt: true }, { score: 1, member: "one" })],
  ["zadd", () => r.zadd("z2", { score: 1, member: "one" }, { score: 9, member: "nine" })],
  ["zcard", () => r.zcard("z")],
  ["zcount", () => r.zcount("z", "-inf", "(3")],
  ["zlexcount", () => r.zlexcount("z", "-", "+")],
  ["zscore", () => r.zscore("z", "two")],
  ["zmscore", () => r.zmscore("z", ["one", "none"])],
  ["zincrby", () => r.zincrby("z", 0.5, "two")],
  ["zrank", () => r.zrank("z", "two")],
  ["zrevrank", () => r.zrevrank("z", "two")],
  ["zrange", () => r.zrange("z", 0, -1, { withScores: true })],
  ["zrange", () => r.zrange("z", 0, 5, { byScore: true, rev: false, offset: 0, count: 5 })],
  ["zrange", () => r.zrange("z", "[a", "[z", { byLex: true })],
  ["zrange", () => r.zrange("z", 0, 1, { rev: true })],
  ["zunion", () => r.zunion(2, ["z", "z2"], { withScores: true, weights: [1, 2], aggregate: "max" })],
  ["zunionstore", () => r.zunionstore("z3", 2, ["z", "z2"], { aggregate: "sum" })],
  ["zinterstore", () => r.zinterstore("z4", 2, ["z", "z2"])],
  ["zdiffstore", () => r.zdiffstore("z5", 2, "z", "z2")],
  ["zscan", () => r.zscan("z", 0, { count: 100 })],
  ["zrem", () => r.zrem("z3", "one", "none")],
  ["zremrangebylex", () => r.zremrangebylex("z4", "-", "(o")],
  ["zremrangebyrank", () => r.zremrangebyrank("z3", 0, 0)],
  ["zremrangebyscore", () => r.zremrangebyscore("z3", "(1", 3)],
  ["zpopmin", () => r.zpopmin("z", 1)],
  ["zpopmax", () => r.zpopmax("z")],
  ["geoadd", () => r.geoadd("g", { longitude: 13.361389, latitude: 38.115556, member: "Palermo" }, { longitude: 15.087269, latitude: 37.502669, member: "Catania" })],
  ["geodist", () => r.geodist("g", "Palermo", "Catania", "KM")],
  ["geohash", () => r.geohash("g", "Palermo", "none")],
  ["geopos", () => r.geopos("g", "Catania", "none")],
  ["geosearch", () => r.geosearch("g", { type: "FROMLONLAT", coordinate: { lon: 15, lat: 37 } }, { type: "BYRADIUS", radius: 200, radiusType: "KM" }, "ASC", { withDist: true, withCoord: true, withHash: true })],
  ["geosearchstore", () => r.geosearchstore("g2", "g", { type: "FROMMEMBER", member: "Palermo" }, { type: "BYBOX", rect: { width: 400, height: 400 }, rectType: "KM" }, "DESC", { count: { limit: 1 } })],
  ["pfadd", () => r.pfadd("pf", "a", "b", "c")],
  ["pfadd", () => r.pfadd("pf2", "c", "d")],
  ["pfcount", () => r.pfcount("pf", "pf2")],
  ["pfmerge", () => r.pfmerge("pf3", "pf", "pf2")],
  ["xadd", () => r.xadd("x", "1-1", { f: "v", g: 2 })],
  ["xadd", () => r.xadd("x", "2-1", { f: "w" }, { trim: { type: "MAXLEN", threshold: 100, comparison: "~", limit: 10 } })],
  ["xadd", () => r.xadd("nox", "1-1", { f: "w" }, { nomkStream: true })],
  ["xadd", () => r.xadd("x", "3-1", { f: "u" })],
  ["xadd", () => r.xadd("x", "1-1", { f: "late" })],
  ["xlen", () => r.xlen("x")],
  ["xrange", () => r.xrange("x", "-", "+")],
  ["xrange", () => r.xrange("x", "-", "+", 1)],
  ["xrevrange", () => r.xrevrange("x", "+", "-", 2)],
  ["xread", () => r.xread("x", "0-0")],
  ["xread", () => r.xread(["x", "nox"], ["1-1", "0"], { count: 1 })],
  ["xgroup", () => r.xgroup("x", { type: "CREATE", group: "gr", id: "0", options: { MKSTREAM: true } })],
  ["xgroup", () => r.xgroup("x", { type: "CREATECONSUMER", group: "gr", consumer: "c1" })],
  ["xreadgroup", () => r.xreadgroup("gr", "c1", "x", ">", { count: 3 })],
  ["xreadgroup", () => r.xreadgroup("gr", "c1", "x", "0")],
  ["xpending", () => r.xpending("x", "gr", "-", "+", 10)],
  ["xack", () => r.xack("x", "gr", "1-1")],
  ["xclaim", () => r.xclaim("x", "gr", "c2", 0, ["2-1"])],
  ["xautoclaim", () => r.xautoclaim("x", "gr", "c3", 0, "0-0", { count: 1, justId: true })],
  ["xinfo", () => r.xinfo("x", { type: "GROUPS" })],
  ["xinfo", () => r.xinfo("x", { type: "CONSUMERS", group: "gr" })],
  ["xackdel", () => r.xackdel("x", "gr", { ids: ["2-1"] }.ids[0])],
  ["xdelex", () => r.xdelex("x", "keepref", "3-1")],
  ["xdel", () => r.xdel("x", ["1-1"])],
  ["xtrim", () => r.xtrim("x", { strategy: "MAXLEN", exactness: "=", threshold: 0 })],
  ["xgroup", () => r.xgroup("x", { type: "SETID", group: "gr", id: "$" })],
  ["xgroup", () => r.xgroup("x", { type: "DELCONSUMER", group: "gr", consumer: "c1" })],
  ["xgroup", () => r.xgroup("x", { type: "DESTROY", group: "gr" })],
  ["eval", () => r.eval(SCRIPT, ["n"], ["arg"])],
  ["evalRo", () => r.evalRo(SCRIPT, ["n"], ["arg"])],
  ["scriptLoad", () => r.scriptLoad(SCRIPT)],
  ["scriptExists", () => r.scriptExists(SHA)],
  ["evalsha", () => r.evalsha(SHA, ["n"], ["arg"])],
  ["evalshaRo", () => r.evalshaRo(SHA, ["n"], ["arg"])],
  ["functions", () => r.functions?.load({ code: LIBRARY, replace: true })],
  ["functions", () => r.functions?.list({ libraryName: "lib", withCode: true })],
  ["functions", () => r.functions?.stats()],
  ["functions", () => r.functions?.call("put", ["fk"], ["fv"])],
  ["functions", () => r.functions?.callRo("look", ["fk"])],
  ["functions", () => r.functions?.delete("lib")],
  ["functions", () => r.functions?.flush()],
  ["scriptFlush", () => r.scriptFlush({ async: true })],
  ["publish", () => r.publish("nobody", { a: 1 })],
  ["echo", () => r.echo("text")],
  ["ping", () => r.ping()],
  ["ping", () => r.ping(["you"])],
  ["time", () => r.time()],
  ["clientSetinfo", () => r.clientSetinfo?.("LIB-NAME", "tester")],
  ["exec", () => r.exec(["OBJECT", "ENCODING", "n"])],
  ["flushdb", () => r.flushdb()],
  ["set", () => r.set("alone", 1)],
  ["randomkey", () => r.randomkey()],
  ["flushall", () => r.flushall()],
];

/** What is no command, stands elsewhere in these tests, or is still to come. */
const OTHERS =
  /^(client|opts|use|addTelemetry|pipeline|autoPipeline|autoPipelineExecutor|multi|constructor|createScript|enable\w+|readYourWritesSyncToken|subscribe|psubscribe|json|search|vector|ar[a-z]+)$/;

for (const [version, Redis] of [["current", Current], ["1.34", Older]]) {
  const redis = () => new Redis({ ...rest(), enableTelemetry: false });

  test(`${version}: every command answers what it answers over RESP`, async () => {
    const r = redis();
    await over.flushall();
    sent = [];
    const alone = new Redis({ ...rest(), enableAutoPipelining: false });
    const called = new Set();
    const wrong = [];
    for (const [name, call] of calls(r, alone)) {
      // What 1.34 calls exec is that of a pipeline.
      if (r[name] === undefined || (name === "exec" && version === "1.34")) continue;
      called.add(name);
      // A failure is an answer too; what it says is compared below.
      await Promise.resolve(call()).catch(() => {});
      assert.ok(sent.length > 0, `${name} has sent nothing`);
      for (const one of sent) await same(one).catch((error) => wrong.push(error.message));
      sent = [];
    }
    assert.deepEqual(wrong, []);
    const names = new Set();
    for (let at = r; at && at !== Object.prototype; at = Object.getPrototypeOf(at)) {
      for (const name of Object.getOwnPropertyNames(at)) names.add(name);
    }
    const missed = [...names].filter((name) => !called.has(name) && name !== "exec" && !OTHERS.test(name));
    assert.deepEqual(missed, [], "commands that this test does not know");
  });

  test(`${version}: a thousand in one tick keep their answers`, async () => {
    const r = redis();
    await r.flushall();
    const all = Array.from({ length: 1000 }, (_, n) => r.set(`k:${n}`, `v:${n}`));
    assert.ok((await Promise.all(all)).every((reply) => reply === "OK"));
    const back = await Promise.all(Array.from({ length: 1000 }, (_, n) => r.get(`k:${n}`)));
    assert.deepEqual(back, Array.from({ length: 1000 }, (_, n) => `v:${n}`));
  });
}

test("what is still to come says so", async () => {
  const r = new Current(rest());
  await assert.rejects(r.arset("a", 0, "v"), /Command is not available yet/);
  await assert.rejects(r.exec(["SEARCH.QUERY", "i", "{}"]), /Command is not available yet/);
  await assert.rejects(r.exec(["VECTOR.INFO", "i"]), /Command is not available yet/);
});
