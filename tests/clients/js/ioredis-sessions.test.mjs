// ioredis, over RESP2 and RESP3: messages, scripts, functions, blocking, streams,
// monitoring, and what happens when a connection is lost.

import assert from "node:assert/strict";
import { once } from "node:events";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { Redis } from "ioredis";
import { resp, until } from "./support.mjs";

for (const protocol of [2, 3]) describe(`RESP${protocol}`, () => suite(protocol));

function suite(protocol) {
  let redis;
  const opened = [];
  const connect = (options) => {
    const client = new Redis({ ...resp(), protocol, ...options });
    client.on("error", () => {});
    opened.push(client);
    return client;
  };
  before(() => {
    redis = new Redis({ ...resp(), protocol });
  });
  beforeEach(async () => {
    await redis.flushall();
    await redis.script("FLUSH");
  });
  afterEach(() => opened.splice(0).forEach((client) => client.disconnect()));
  after(() => redis.quit());

  test("channels and patterns", async () => {
    const sub = connect();
    const heard = [];
    sub.on("message", (...message) => heard.push(message));
    sub.on("pmessage", (...message) => heard.push(message));
    assert.equal(await sub.subscribe("news", "music"), 2);
    assert.equal(await sub.psubscribe("n?ws", "*"), 4);
    assert.deepEqual(await redis.pubsub("CHANNELS", "n*"), ["news"]);
    assert.deepEqual(await redis.pubsub("NUMSUB", "news", "none"), ["news", 1, "none", 0]);
    assert.equal(await redis.pubsub("NUMPAT"), 2);
    assert.equal(await redis.publish("news", "Hello ünï"), 3);
    await until(() => heard.length === 3);
    assert.deepEqual(heard.shift(), ["news", "Hello ünï"]);
    assert.deepEqual(heard.sort(), [
      ["*", "news", "Hello ünï"],
      ["n?ws", "news", "Hello ünï"],
    ]);
    assert.equal(await sub.unsubscribe("music"), 3);
    assert.equal(await sub.punsubscribe("n?ws", "*"), 1);
    assert.equal(await redis.publish("music", "nobody"), 0);
    assert.equal(await sub.unsubscribe(), 0);
    assert.equal(await sub.set("k", "an ordinary connection again"), "OK");
  });

  test("messages of bytes, in order", async () => {
    const sub = connect();
    const heard = [];
    sub.on("messageBuffer", (channel, message) => heard.push(message));
    await sub.subscribe("bytes");
    const sent = Array.from({ length: 500 }, (_, n) => Buffer.from([0, 255, n >> 8, n & 255]));
    await Promise.all(sent.map((message) => redis.publish("bytes", message)));
    await until(() => heard.length === sent.length);
    assert.deepEqual(heard, sent);
  });

  test("sharded channels", async () => {
    const sub = connect();
    const heard = once(sub, "smessage");
    assert.equal(await sub.ssubscribe("shard"), 1);
    assert.deepEqual(await redis.pubsub("SHARDCHANNELS"), ["shard"]);
    assert.deepEqual(await redis.pubsub("SHARDNUMSUB", "shard"), ["shard", 1]);
    assert.equal(await redis.spublish("shard", "hello"), 1);
    assert.deepEqual(await heard, ["shard", "hello"]);
    assert.equal(await redis.publish("shard", "another kind"), 0);
    assert.equal(await sub.sunsubscribe("shard"), 0);
  });

  test("what is done to keys is told", async () => {
    await redis.config("SET", "notify-keyspace-events", "KEA");
    const sub = connect();
    const heard = [];
    sub.on("pmessage", (_, channel, message) => heard.push(`${channel} ${message}`));
    await sub.psubscribe("__key*@0__:*");
    await redis.set("k", "v", "PX", 1);
    await until(async () => !(await redis.exists("k")));
    await until(() => heard.includes("__keyevent@0__:expired k"));
    assert.ok(heard.includes("__keyspace@0__:k set") && heard.includes("__keyspace@0__:k expire"));
    await redis.config("SET", "notify-keyspace-events", "");
  });

  test("a subscriber may only listen over RESP2, and do anything over RESP3", async () => {
    const sub = connect();
    await sub.subscribe("news");
    const get = sub.get("k");
    if (protocol === 2) await assert.rejects(get, /subscriber mode/);
    else assert.equal(await get, null);
  });

  test("scripts by their text, their digest, and as commands", async () => {
    const text = "return {KEYS[1], ARGV[1], redis.call('SET', KEYS[1], ARGV[1])}";
    assert.deepEqual(await redis.eval(text, 1, "k", "v"), ["k", "v", "OK"]);
    const digest = await redis.script("LOAD", text);
    assert.match(digest, /^[0-9a-f]{40}$/);
    assert.deepEqual(await redis.script("EXISTS", digest, "0".repeat(40)), [1, 0]);
    assert.deepEqual(await redis.evalsha(digest, 1, "k", "w"), ["k", "w", "OK"]);
    assert.equal(await redis.get("k"), "w");
    await redis.script("FLUSH");
    await assert.rejects(redis.evalsha(digest, 1, "k", "v"), /NOSCRIPT No matching script/);
    redis.defineCommand("rise", {
      numberOfKeys: 1,
      lua: "return redis.call('INCRBY', KEYS[1], ARGV[1])",
    });
    // By its digest first; when that is unknown, by its text.
    assert.deepEqual([await redis.rise("n", 5), await redis.rise("n", 5)], [5, 10]);
    await redis.script("FLUSH");
    const piped = await redis.pipeline().rise("n", 1).rise("n", 1).exec();
    assert.deepEqual(piped, [[null, 11], [null, 12]]);
    const together = await redis.multi().rise("n", 1).get("n").exec();
    assert.deepEqual(together, [[null, 13], [null, "13"]]);
  });

  test("scripts as an option, with keys counted by the caller, and for readers", async () => {
    const scripts = {
      lengths: { lua: "return {#KEYS, #ARGV}" },
      read: { lua: "return redis.call('GET', KEYS[1])", numberOfKeys: 1, readOnly: true },
      bytes: { lua: "return redis.call('GET', KEYS[1]) .. '\\255'", numberOfKeys: 1 },
    };
    const client = connect({ scripts, keyPrefix: "app:" });
    await client.set("k", "v");
    assert.deepEqual(await client.lengths(2, "a", "b", "c"), [2, 1]);
    assert.equal(await client.read("k"), "v");
    assert.deepEqual(await client.bytesBuffer("k"), Buffer.from([118, 255]));
    assert.equal(await redis.get("app:k"), "v");
    const write = "return redis.call('SET', KEYS[1], 1)";
    await assert.rejects(redis.eval_ro(write, 1, "k"), /Write commands are not allowed/);
    assert.equal(await redis.eval_ro("return redis.call('GET', KEYS[1])", 1, "app:k"), "v");
  });

  test("what a script returns, and how it fails", async () => {
    const run = (text, ...rest) => redis.eval(text, 0, ...rest);
    assert.deepEqual(await run("return {1, 2.9, 'x', false, {true, {}}}"), [1, 2, "x", null, [1, []]]);
    assert.equal(await run("return redis.status_reply('FINE')"), "FINE");
    await assert.rejects(run("return redis.error_reply('MINE own')"), /MINE own/);
    await assert.rejects(run("return nonsense ("), /ERR Error compiling script/);
    await assert.rejects(run("return nosuch.field"), /ERR user_script:1: Script attempted/);
    await assert.rejects(run("return redis.call('HGET', 'k')"), /Wrong number of args/);
    assert.equal(await run("return cjson.encode(cjson.decode(ARGV[1]))", '{"a":[1,"b"]}'), '{"a":[1,"b"]}');
    assert.equal(await run("return redis.sha1hex('')"), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    assert.deepEqual(await run("return cmsgpack.unpack(cmsgpack.pack({1, 'a'}))"), [1, "a"]);
    assert.equal(await run("return bit.band(12, 10) + struct.size('>I4')"), 12);
    const failed = await run("return redis.pcall('GET')['err'] or 'none'");
    assert.match(failed, /Wrong number of args/);
  });

  test("functions", async () => {
    const library = `#!lua name=mylib
      redis.register_function('put', function(keys, args) return redis.call('SET', keys[1], args[1]) end)
      redis.register_function{
        function_name = 'look',
        callback = function(keys) return redis.call('GET', keys[1]) end,
        flags = {'no-writes'},
      }`;
    await redis.function("FLUSH");
    assert.equal(await redis.function("LOAD", library), "mylib");
    await assert.rejects(redis.function("LOAD", library), /already exists/);
    assert.equal(await redis.function("LOAD", "REPLACE", library), "mylib");
    assert.equal(await redis.fcall("put", 1, "k", "v"), "OK");
    assert.equal(await redis.fcall_ro("look", 1, "k"), "v");
    await assert.rejects(redis.fcall_ro("put", 1, "k", "v"), /with write flag/);
    assert.match(JSON.stringify(await redis.function("LIST")), /mylib/);
    const dump = await redis.callBuffer("FUNCTION", "DUMP");
    assert.equal(await redis.function("DELETE", "mylib"), "OK");
    await assert.rejects(redis.fcall("put", 1, "k", "v"), /Function not found/);
    assert.equal(await redis.function("RESTORE", dump), "OK");
    assert.equal(await redis.fcall("put", 1, "k", "w"), "OK");
    await redis.function("FLUSH");
  });

  test("waiting for an element", async () => {
    const waiting = [connect(), connect(), connect()];
    const first = waiting[0].blpop("list", "other", 0);
    await blocked(1);
    const second = waiting[1].brpop("list", 0);
    await blocked(2);
    const moved = waiting[2].blmove("list", "target", "LEFT", "RIGHT", 0);
    await blocked(3);
    assert.equal(await redis.rpush("list", "a", "b", "c"), 3);
    assert.deepEqual(await first, ["list", "a"]);
    assert.deepEqual(await second, ["list", "c"]);
    assert.equal(await moved, "b");
    assert.deepEqual(await redis.lrange("target", 0, -1), ["b"]);
    assert.equal(await redis.exists("list"), 0);
    const popped = waiting[0].bzpopmin("zset", 0);
    const many = waiting[1].bzmpop(0, 1, "zset", "MAX", "COUNT", 2);
    await blocked(2);
    await redis.zadd("zset", 1, "one", 2, "two", 3, "three");
    assert.deepEqual(await popped, ["zset", "one", "1"]);
    const members = (await many)[1].flat().filter((part) => Number.isNaN(Number(part)));
    assert.deepEqual(members, ["three", "two"]);
    assert.equal(await waiting[0].blpop("nothing", 0.01), null);
  });

  const blocked = (count) =>
    until(async () => (await redis.info("clients")).includes(`blocked_clients:${count}\r`));

  test("a client that waits is woken by others, or cut off", async () => {
    const waiting = connect();
    const id = await waiting.client("ID");
    const waits = waiting.blpop("list", 0);
    await blocked(1);
    assert.equal(await redis.client("UNBLOCK", id), 1);
    assert.equal(await waits, null);
    const failing = waiting.blpop("list", 0);
    await blocked(1);
    assert.equal(await redis.client("UNBLOCK", id, "ERROR"), 1);
    await assert.rejects(failing, /UNBLOCKED/);
    // The request is sent again over the next connection, and answered there.
    const again = waiting.blpop("list", 0);
    await blocked(1);
    assert.equal(await redis.client("KILL", "ID", id), 1);
    await blocked(1);
    await redis.lpush("list", "found");
    assert.deepEqual(await again, ["list", "found"]);
  });

  test("streams and groups of consumers", async () => {
    const reader = connect();
    const read = reader.xread("BLOCK", 0, "STREAMS", "stream", "$");
    await blocked(1);
    const id = await redis.xadd("stream", "*", "field", "value");
    assert.deepEqual((await read)[0][1], [[id, ["field", "value"]]]);
    assert.equal(await redis.xgroup("CREATE", "stream", "group", "0"), "OK");
    const take = (who, from) =>
      reader.xreadgroup("GROUP", "group", who, "COUNT", 10, "BLOCK", 0, "STREAMS", "stream", from);
    assert.deepEqual((await take("ann", ">"))[0][1].length, 1);
    const next = take("bob", ">");
    await blocked(1);
    const later = await redis.xadd("stream", "*", "field", "later");
    assert.deepEqual((await next)[0][1], [[later, ["field", "later"]]]);
    assert.deepEqual((await redis.xpending("stream", "group"))[0], 2);
    assert.equal(await redis.xack("stream", "group", id), 1);
    const [, claimed] = await redis.xautoclaim("stream", "group", "ann", 0, "0");
    assert.deepEqual(claimed, [[later, ["field", "later"]]]);
    assert.deepEqual((await take("bob", "0"))[0][1], []);
  });

  test("a lost connection comes back, with its subscriptions and its name", async () => {
    const client = connect({ connectionName: "lost" });
    const sub = connect();
    const heard = [];
    sub.on("message", (channel, message) => heard.push(message));
    await sub.subscribe("news");
    await client.select(3);
    await client.set("k", "in three");
    const ids = [await client.client("ID")];
    const listed = await redis.client("LIST", "TYPE", "PUBSUB");
    ids.push(/id=(\d+)/.exec(listed)[1]);
    for (const id of ids) assert.equal(await redis.client("KILL", "ID", id), 1);
    assert.equal(await client.get("k"), "in three");
    assert.equal(await client.client("GETNAME"), "lost");
    assert.notEqual(await client.client("ID"), ids[0]);
    await until(async () => (await redis.publish("news", "still there")) === 1);
    await until(() => heard.length > 0);
  });

  test("a monitor sees what is asked, and no secrets", async () => {
    const asker = connect();
    // What it asks on its way in must not be seen yet: ioredis takes a line that comes together
    // with the answer to MONITOR for the answer to another command.
    await asker.ping();
    const monitor = await asker.monitor();
    const seen = [];
    monitor.on("monitor", (time, argv, source, database) => seen.push({ argv, database }));
    await redis.set("k", "v w");
    await redis.auth("nobody", "secret").catch(() => {});
    await redis.eval("return redis.call('GET', KEYS[1])", 1, "k");
    await redis.echo("last");
    await until(() => seen.some(({ argv }) => argv[1] === "last"));
    const commands = seen.map(({ argv }) => argv.join(" "));
    assert.ok(commands.includes("set k v w"), JSON.stringify(commands));
    assert.ok(commands.includes("GET k"), "what a script asks is seen");
    assert.ok(!JSON.stringify(seen).includes("secret"));
    monitor.disconnect();
  });

  test("clients are listed, told apart and closed", async () => {
    const client = connect({ connectionName: "listed" });
    const info = await client.client("INFO");
    const [id, address] = [/id=(\d+)/.exec(info)[1], /addr=(\S+)/.exec(info)[1]];
    assert.match(info, /name=listed .* cmd=client\|info/);
    const lines = async (...filter) => (await redis.client("LIST", ...filter)).trim().split("\n");
    assert.equal((await lines("ID", id)).length, 1);
    assert.ok((await lines("TYPE", "NORMAL")).some((line) => line.startsWith(`id=${id} `)));
    const closed = once(client, "close");
    assert.equal(await redis.client("KILL", "ADDR", address), 1);
    await closed;
    assert.equal(await redis.client("NO-EVICT", "ON"), "OK");
    assert.equal(await redis.client("PAUSE", 1, "WRITE"), "OK");
    assert.equal(await redis.client("UNPAUSE"), "OK");
    await assert.rejects(redis.client("KILL", "1.2.3.4:5"), /No such client/);
  });

  test("automatic pipelines around scripts and failures", async () => {
    const auto = connect({ enableAutoPipelining: true });
    auto.defineCommand("rise", { numberOfKeys: 1, lua: "return redis.call('INCR', KEYS[1])" });
    await auto.set("text", "x");
    const replies = await Promise.allSettled([
      auto.incr("text"),
      ...Array.from({ length: 50 }, () => auto.rise("n")),
      auto.get("n"),
    ]);
    assert.match(replies[0].reason.message, /not an integer/);
    assert.deepEqual(replies.slice(1, 51).map(({ value }) => value), Array.from({ length: 50 }, (_, n) => n + 1));
    assert.equal(replies[51].value, "50");
  });
}
