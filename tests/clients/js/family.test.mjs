// What else of Upstash's family runs on a REST endpoint: @vercel/kv, @upstash/lock,
// @upstash/realtime, @upstash/core-analytics, @upstash/query, and Auth.js' adapter.

import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { UpstashRedisAdapter } from "@auth/upstash-redis-adapter";
import { Analytics } from "@upstash/core-analytics";
import lockPackage from "@upstash/lock";
import { Query } from "@upstash/query";
import { handle, Realtime } from "@upstash/realtime";
import { Redis } from "@upstash/redis";
import { createClient } from "@vercel/kv";
import { z } from "zod";
import { rest, until } from "./support.mjs";

const { Lock } = lockPackage;
const redis = new Redis({ ...rest(), enableTelemetry: false });
beforeEach(() => redis.flushall());

test("@vercel/kv by its environment, its scans as iterators", async () => {
  process.env.KV_REST_API_URL = rest().url;
  process.env.KV_REST_API_TOKEN = rest().token;
  const { kv } = await import("@vercel/kv");
  assert.equal(await kv.set("user:1", { name: "ann" }, { ex: 100 }), "OK");
  assert.deepEqual(await kv.get("user:1"), { name: "ann" });
  const own = createClient({ url: rest().url, token: rest().token });
  await own.mset(Object.fromEntries(Array.from({ length: 50 }, (_, n) => [`many:${n}`, n])));
  const found = new Set();
  for await (const key of own.scanIterator({ match: "many:*", count: 7 })) found.add(key);
  assert.equal(found.size, 50);
  await own.hset("h", { a: 1, b: 2 });
  const fields = [];
  for await (const field of own.hscanIterator("h")) fields.push(field);
  assert.deepEqual(fields.map(String).sort(), ["1", "2", "a", "b"]);
  assert.deepEqual(await kv.multi().incr("n").incr("n").exec(), [1, 2]);
});

describe("@upstash/lock", () => {
  test("one holds it, and gives it back", async () => {
    const make = () => new Lock({ id: "work", redis, lease: 60_000, retry: { attempts: 1, delay: 1 } });
    const [one, two] = [make(), make()];
    assert.equal(await one.acquire(), true);
    assert.equal(await two.acquire(), false);
    assert.equal(await two.release(), false);
    assert.equal(await one.getStatus(), "ACQUIRED");
    assert.equal(await one.extend(5_000), true);
    assert.equal(await one.release(), true);
    assert.equal(await two.acquire(), true);
    assert.equal(await two.release(), true);
  });

  test("of many at once, one gets it", async () => {
    const all = Array.from({ length: 20 }, () => new Lock({ id: "rush", redis, retry: { attempts: 1, delay: 1 } }));
    const got = await Promise.all(all.map((lock) => lock.acquire()));
    assert.equal(got.filter(Boolean).length, 1);
  });
});

describe("@upstash/realtime", () => {
  const schema = { chat: { message: z.object({ text: z.string() }) } };

  test("what is emitted is heard, and remembered", async () => {
    const realtime = new Realtime({ schema, redis, history: { maxLength: 10 } });
    const channel = realtime.channel("room");
    const heard = [];
    const leave = await channel.subscribe({
      events: ["chat.message"],
      onData: ({ data }) => heard.push(data.text),
    });
    await channel.emit("chat.message", { text: "one" });
    await channel.emit("chat.message", { text: "two\nlines, and a comma" });
    await until(() => heard.length === 2, "both messages");
    assert.deepEqual(heard, ["one", "two\nlines, and a comma"]);
    const history = await channel.history();
    assert.deepEqual(history.map(({ data }) => data.text), heard);
    if (typeof leave === "function") leave();
    else channel.unsubscribe();
  });

  test("its handler streams to a browser", async () => {
    const realtime = new Realtime({ schema, redis });
    const abort = new AbortController();
    const url = "http://app.example/api/realtime?channel=room";
    const response = await handle({ realtime })(new Request(url, { signal: abort.signal }));
    assert.match(response.headers.get("content-type"), /text\/event-stream/);
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    const read = async (wanted) => {
      while (!text.includes(wanted)) {
        const { value, done } = await reader.read();
        assert.ok(!done, text);
        text += value;
      }
    };
    await read("connected");
    await realtime.channel("room").emit("chat.message", { text: "to the browser" });
    await read("to the browser");
    abort.abort();
  });
});

test("@upstash/core-analytics counts in buckets", async () => {
  const analytics = new Analytics({ redis, window: "1h", prefix: "stats" });
  const time = Date.now();
  for (const country of ["AT", "AT", "DE"]) await analytics.ingest("visit", { time, country });
  const { time: bucket, ...counted } = await analytics.aggregateBucket("visit", "country", time);
  assert.equal(bucket, analytics.getBucket(time));
  assert.deepEqual(counted.country ?? counted, { AT: 2, DE: 1 });
});

test("@upstash/query keeps and finds documents by their terms", async () => {
  const q = new Query({ redis: new Redis({ ...rest(), automaticDeserialization: false }) });
  const users = q.createCollection("users");
  const byCity = users.createIndex({ name: "by_city", terms: ["city"] });
  await users.set("ann", { name: "ann", city: "Wien" });
  await users.set("bob", { name: "bob", city: "Graz" });
  const found = await byCity.match({ city: "Wien" });
  assert.deepEqual(found.map(({ id }) => id), ["ann"]);
  await users.delete("ann");
  assert.deepEqual(await byCity.match({ city: "Wien" }), []);
});

test("Auth.js keeps users, accounts and sessions", async () => {
  const adapter = UpstashRedisAdapter(redis, { baseKeyPrefix: "auth:" });
  const user = await adapter.createUser({ id: "x", email: "ann@app.example", emailVerified: new Date(0) });
  assert.equal((await adapter.getUserByEmail("ann@app.example")).id, user.id);
  assert.deepEqual((await adapter.getUser(user.id)).emailVerified, new Date(0));
  await adapter.linkAccount({ userId: user.id, type: "oauth", provider: "p", providerAccountId: "1" });
  const byAccount = await adapter.getUserByAccount({ provider: "p", providerAccountId: "1" });
  assert.equal(byAccount.email, "ann@app.example");
  const expires = new Date(Date.now() + 60_000);
  await adapter.createSession({ sessionToken: "t", userId: user.id, expires });
  const { session, user: theirs } = await adapter.getSessionAndUser("t");
  assert.deepEqual([session.expires, theirs.id], [expires, user.id]);
  await adapter.deleteSession("t");
  assert.equal(await adapter.getSessionAndUser("t"), null);
  await adapter.createVerificationToken({ identifier: "ann", token: "v", expires });
  assert.equal((await adapter.useVerificationToken({ identifier: "ann", token: "v" })).token, "v");
  assert.equal(await adapter.useVerificationToken({ identifier: "ann", token: "v" }), null);
});
