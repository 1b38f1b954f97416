// node-redis, over RESP2 and RESP3: messages, scripts, functions, pools for blocking,
// streams, copies kept by the client, and what happens when a connection is lost.

import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { createClient, createClientPool, defineScript, ErrorReply, WatchError } from "redis";
import { resp, until } from "./support.mjs";

const rise = defineScript({
  NUMBER_OF_KEYS: 1,
  SCRIPT: "return redis.call('INCRBY', KEYS[1], ARGV[1])",
  parseCommand(parser, key, by) {
    parser.pushKey(key);
    parser.push(`${by}`);
  },
  transformReply: undefined,
});

const CODE = `#!lua name=mylib
  redis.register_function('put', function(keys, args) return redis.call('SET', keys[1], args[1]) end)
  redis.register_function{
    function_name = 'look',
    callback = function(keys) return redis.call('GET', keys[1]) end,
    flags = {'no-writes'},
  }`;
const named = (NUMBER_OF_KEYS, IS_READ_ONLY) => ({
  NUMBER_OF_KEYS,
  IS_READ_ONLY,
  parseCommand(parser, key, ...rest) {
    parser.pushKey(key);
    parser.push(...rest);
  },
  transformReply: undefined,
});
const functions = { mylib: { put: named(1, false), look: named(1, true) } };

for (const RESP of [2, 3]) describe(`RESP${RESP}`, () => suite(RESP));

function suite(RESP) {
  let redis;
  const opened = [];
  const connect = async (options) => {
    const client = createClient({ socket: resp(), RESP, ...options });
    client.on("error", () => {});
    opened.push(client);
    return client.connect();
  };
  before(async () => {
    redis = await createClient({ socket: resp(), RESP, scripts: { rise }, functions }).connect();
  });
  beforeEach(async () => {
    await redis.flushAll();
    await redis.scriptFlush();
  });
  afterEach(() => opened.splice(0).forEach((client) => client.isOpen && client.destroy()));
  after(() => redis.close());

  const blocked = (count) =>
    until(async () => (await redis.info("clients")).includes(`blocked_clients:${count}\r`));

  test("channels and patterns", async () => {
    const sub = await connect();
    const heard = [];
    const hear = (message, channel) => heard.push(`${channel}: ${message}`);
    await sub.subscribe(["news", "music"], hear);
    await sub.pSubscribe("n?ws", hear);
    assert.deepEqual(await redis.pubSubChannels("n*"), ["news"]);
    assert.deepEqual({ ...(await redis.pubSubNumSub(["news", "none"])) }, { news: 1, none: 0 });
    assert.equal(await redis.pubSubNumPat(), 1);
    assert.equal(await redis.publish("news", "Hello ünï"), 2);
    await until(() => heard.length === 2);
    assert.deepEqual(heard, ["news: Hello ünï", "news: Hello ünï"]);
    await sub.unsubscribe("music");
    assert.equal(await redis.publish("music", "nobody"), 0);
    await sub.unsubscribe();
    await sub.pUnsubscribe();
    assert.equal(`${await sub.set("k", "an ordinary connection again")}`, "OK");
  });

  test("sharded channels, and messages of bytes", async () => {
    const sub = await connect();
    const heard = [];
    await sub.sSubscribe("shard", (message) => heard.push(message), true);
    assert.deepEqual(await redis.pubSubShardChannels(), ["shard"]);
    const sent = Buffer.from([0, 255, 13, 10]);
    assert.equal(await redis.sPublish("shard", sent), 1);
    await until(() => heard.length === 1);
    assert.deepEqual(heard, [sent]);
    await sub.sUnsubscribe("shard");
    assert.equal(await redis.sPublish("shard", sent), 0);
  });

  test("scripts by their text, their digest, and as methods", async () => {
    const script = "return {KEYS[1], ARGV[1], redis.call('SET', KEYS[1], ARGV[1])}";
    const given = { keys: ["k"], arguments: ["v"] };
    assert.deepEqual(await redis.eval(script, given), ["k", "v", "OK"]);
    const digest = await redis.scriptLoad(script);
    assert.deepEqual(await redis.scriptExists([digest, "0".repeat(40)]), [1, 0]);
    assert.deepEqual(await redis.evalSha(digest, given), ["k", "v", "OK"]);
    await assert.rejects(redis.evalRo(script, given), /Write commands are not allowed/);
    await redis.scriptFlush();
    await assert.rejects(redis.evalSha(digest, given), /NOSCRIPT/);
    assert.deepEqual([await redis.rise("n", 5), await redis.rise("n", 5)], [5, 10]);
    await redis.scriptFlush();
    assert.deepEqual(await Promise.all([redis.rise("n", 1), redis.rise("n", 1)]), [11, 12]);
    assert.deepEqual(await redis.multi().rise("n", 1).get("n").exec(), [13, "13"]);
  });

  test("what scripts return in either protocol", async () => {
    const run = (script) => redis.eval(script);
    assert.deepEqual(await run("return {1, 2.9, 'x', false}"), [1, 2, "x", null]);
    assert.equal(await run("return {double = 2.5}"), RESP === 3 ? 2.5 : "2.5");
    assert.equal(await run("return true"), 1);
    await redis.hSet("h", "f", "v");
    const map = await run("redis.setresp(3); return redis.call('HGETALL', 'h')");
    assert.deepEqual(RESP === 3 ? Object.entries(map).flat() : map, ["f", "v"]);
    await assert.rejects(run("return redis.error_reply('MINE own')"), (error) => {
      return error instanceof ErrorReply && error.message === "MINE own";
    });
  });

  test("functions", async () => {
    await redis.functionFlush();
    assert.equal(await redis.functionLoad(CODE), "mylib");
    assert.equal(await redis.functionLoad(CODE, { REPLACE: true }), "mylib");
    assert.equal(await redis.mylib.put("k", "v"), "OK");
    assert.equal(await redis.mylib.look("k"), "v");
    const [library] = await redis.functionListWithCode({ LIBRARYNAME: "my*" });
    assert.deepEqual([library.library_name, library.library_code], ["mylib", CODE]);
    assert.deepEqual(library.functions.map((found) => found.name).sort(), ["look", "put"]);
    assert.equal((await redis.functionStats()).engines.LUA.functions_count, 2);
    assert.equal(await redis.functionDelete("mylib"), "OK");
    await assert.rejects(redis.mylib.put("k", "v"), /Function not found/);
  });

  test("a transaction through its watches, and a pool that keeps them apart", async () => {
    const pool = createClientPool({ socket: resp(), RESP }, { minimum: 2, maximum: 8 });
    await pool.connect();
    const add = () =>
      pool.execute(async (client) => {
        for (;;) {
          await client.watch("sum");
          const sum = Number((await client.get("sum")) ?? 0);
          try {
            return await client.multi().set("sum", `${sum + 1}`).exec();
          } catch (error) {
            if (!(error instanceof WatchError)) throw error;
          }
        }
      });
    await Promise.all(Array.from({ length: 30 }, add));
    assert.equal(await pool.get("sum"), "30");
    await pool.close();
  });

  test("waiting in a pool while others work", async () => {
    const pool = createClientPool({ socket: resp(), RESP }, { minimum: 1, maximum: 4 });
    await pool.connect();
    const popped = pool.blPop("list", 0);
    await blocked(1);
    const scored = pool.bzPopMin("zset", 0);
    await blocked(2);
    assert.equal(await pool.set("k", "v"), "OK");
    await pool.rPush("list", "element");
    await pool.zAdd("zset", { score: 1.5, value: "member" });
    assert.deepEqual({ ...(await popped) }, { key: "list", element: "element" });
    assert.deepEqual({ ...(await scored) }, { key: "zset", value: "member", score: 1.5 });
    const moved = pool.blMove("list", "target", "LEFT", "RIGHT", 0);
    await blocked(1);
    await pool.rPush("list", "moved");
    assert.equal(await moved, "moved");
    const many = pool.blmPop(0, ["none", "list"], "RIGHT", { COUNT: 2 });
    await blocked(1);
    await pool.rPush("list", ["a", "b", "c"]);
    assert.deepEqual(await many, ["list", ["c", "b"]]);
    assert.equal(await pool.blPop("nothing", 0.01), null);
    await pool.close();
  });

  test("a client that waits is woken by others", async () => {
    const waiting = await connect();
    const id = await waiting.clientId();
    const waits = waiting.blPop("list", 0);
    await blocked(1);
    assert.equal(await redis.clientUnblock(id), 1);
    assert.equal(await waits, null);
    const failing = waiting.blPop("list", 0);
    await blocked(1);
    assert.equal(await redis.clientUnblock(id, "ERROR"), 1);
    await assert.rejects(failing, /UNBLOCKED/);
  });

  test("streams and groups of consumers", async () => {
    const reader = await connect();
    const reading = reader.xRead({ key: "stream", id: "$" }, { BLOCK: 0 });
    await blocked(1);
    const id = await redis.xAdd("stream", "*", { field: "value" });
    const [{ name, messages }] = flat(await reading);
    assert.deepEqual([name, messages[0].id, { ...messages[0].message }], ["stream", id, { field: "value" }]);
    assert.equal(await redis.xGroupCreate("stream", "group", "0"), "OK");
    const take = (who, from, options) =>
      reader.xReadGroup("group", who, { key: "stream", id: from }, options);
    assert.equal(flat(await take("ann", ">"))[0].messages.length, 1);
    const next = take("bob", ">", { BLOCK: 0, COUNT: 5 });
    await blocked(1);
    const later = await redis.xAdd("stream", "*", { field: "later" });
    assert.equal(flat(await next)[0].messages[0].id, later);
    const pending = await redis.xPending("stream", "group");
    assert.deepEqual([pending.pending, pending.firstId, pending.lastId], [2, id, later]);
    assert.equal(await redis.xAck("stream", "group", id), 1);
    const claimed = await redis.xAutoClaim("stream", "group", "ann", 0, "0");
    assert.deepEqual(claimed.messages.map((message) => message.id), [later]);
    const [group] = await redis.xInfoGroups("stream");
    assert.deepEqual([group.name, group.consumers, group.pending, group.lag], ["group", 2, 1, 0]);
    assert.equal((await redis.xInfoStream("stream")).length, 2);
  });

  // A list of streams in either protocol.
  const flat = (read) => (Array.isArray(read) ? read : Object.values(read));

  test("a lost connection comes back, with its subscriptions, name and database", async () => {
    const client = await connect({ name: "lost", database: 3 });
    const sub = await connect();
    const heard = [];
    await sub.subscribe("news", (message) => heard.push(message));
    await client.set("k", "in three");
    const id = await client.clientId();
    const [listed] = await redis.clientList({ TYPE: "PUBSUB" });
    for (const lost of [id, listed.id]) {
      assert.equal(await redis.clientKill({ filter: "ID", id: lost }), 1);
    }
    assert.equal(await retried(() => client.get("k")), "in three");
    assert.equal(await client.clientGetName(), "lost");
    assert.notEqual(await client.clientId(), id);
    await until(async () => (await redis.publish("news", "still there")) === 1);
    await until(() => heard.length > 0);
  });

  // A request that is on its way when the connection ends is not sent again.
  const retried = (request) => until(() => request().catch(() => null));

  test("clients are listed, told apart and closed", async () => {
    const client = await connect({ name: "listed", clientInfoTag: "tests" });
    const info = await client.clientInfo();
    assert.deepEqual([info.name, info.db, info.resp ?? RESP], ["listed", 0, RESP]);
    const [line] = await redis.clientList({ ID: [`${info.id}`] });
    assert.deepEqual([line.id, line.addr], [info.id, info.addr]);
    assert.equal(await redis.clientKill({ filter: "ADDR", address: info.addr }), 1);
    await until(async () => (await redis.clientList({ ID: [`${info.id}`] })).length === 0);
    assert.equal(await redis.clientNoEvict(true), "OK");
    assert.equal(await redis.clientNoEvict(false), "OK");
    assert.equal(await redis.clientPause(1, "WRITE"), "OK");
    assert.equal(await redis.clientUnpause(), "OK");
  });

  test("a monitor sees what is asked", async () => {
    const monitor = await connect();
    const seen = [];
    await monitor.monitor((line) => seen.push(`${line}`));
    await redis.set("key", "value");
    await until(() => seen.some((line) => /\[0 127\.0\.0\.1:\d+\] "SET" "key" "value"$/.test(line)));
  });

  test("copies kept by the client are dropped when their keys change", { skip: RESP === 2 }, async () => {
    const clientSideCache = { ttl: 0, maxEntries: 100, evictPolicy: "LRU" };
    const client = await connect({ clientSideCache });
    const stats = () => client.clientSideCache?.stats?.();
    await redis.set("k", "one");
    await redis.hSet("h", "f", "v");
    assert.equal(await client.get("k"), "one");
    // From the copy: redis-server counts only the requests that reach it.
    const reads = async () => Number(/cmdstat_get:calls=(\d+)/.exec(await redis.info("commandstats"))?.[1] ?? 0);
    const asked = await reads();
    for (let n = 0; n < 10; n += 1) assert.equal(await client.get("k"), "one");
    assert.equal(await reads(), asked, `the copies were not used: ${stats()}`);
    await redis.set("k", "two");
    await until(async () => (await client.get("k")) === "two");
    assert.equal(await client.hGet("h", "f"), "v");
    await redis.hSet("h", "f", "w");
    await until(async () => (await client.hGet("h", "f")) === "w");
    await redis.pExpire("k", 1);
    await until(async () => (await client.get("k")) === null);
    await redis.set("k", "three");
    await until(async () => (await client.get("k")) === "three");
    await redis.flushAll();
    await until(async () => (await client.get("k")) === null);
  });
}
