// TLS: ioredis, node-redis and @upstash/redis, each with the authority that it is told of.
// eave-doors: tls

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Redis as Upstash } from "@upstash/redis";
import { Redis as IoRedis } from "ioredis";
import { createClient } from "redis";
import { resp } from "./support.mjs";

const port = Number(process.env.EAVE_TLS_PORT);
const read = (name) => readFileSync(process.env[name], "utf8");
const own = () => ({ cert: read("EAVE_TLS_CERT"), key: read("EAVE_TLS_KEY") });
const ca = read("EAVE_TLS_CA");

async function ioredis(tls) {
  const options = { host: "localhost", port, tls, lazyConnect: true, retryStrategy: null };
  const redis = new IoRedis({ ...options, maxRetriesPerRequest: 0 });
  redis.on("error", () => {});
  return redis;
}

test("ioredis pipelines, waits and listens over TLS", async () => {
  const redis = await ioredis({ ca, ...own() });
  await redis.connect();
  const pipeline = redis.pipeline();
  for (let n = 0; n < 1000; n += 1) pipeline.rpush("tls:list", `${n}`);
  const replies = await pipeline.exec();
  assert.deepEqual(replies.at(-1), [null, 1000]);
  const large = "x".repeat(3_000_000);
  assert.equal(await redis.set("tls:large", large), "OK");
  assert.equal(await redis.get("tls:large"), large);

  const other = redis.duplicate();
  await other.connect();
  const waiting = other.blpop("tls:queue", 10);
  await redis.lpush("tls:queue", "job");
  assert.deepEqual(await waiting, ["tls:queue", "job"]);
  const heard = new Promise((resolve) => other.once("message", (...all) => resolve(all)));
  await other.subscribe("tls:news");
  await redis.publish("tls:news", "hello");
  assert.deepEqual(await heard, ["tls:news", "hello"]);
  redis.disconnect();
  other.disconnect();
});

test("who shows no certificate, or trusts another authority, does not get in", async () => {
  const bare = await ioredis({ ca });
  await assert.rejects(async () => {
    await bare.connect();
    await bare.ping();
  });
  bare.disconnect();
  const distrustful = await ioredis({ ca: own().cert, ...own() });
  await assert.rejects(distrustful.connect());
  distrustful.disconnect();
});

for (const RESP of [2, 3]) {
  test(`node-redis speaks RESP${RESP} over TLS`, async () => {
    const socket = { ca, ...own(), tls: true, reconnectStrategy: false };
    const redis = await createClient({ url: `rediss://localhost:${port}`, RESP, socket }).connect();
    const plain = await createClient({ socket: resp(), RESP }).connect();
    await redis.hSet("tls:hash", { a: "1", b: "2" });
    assert.deepEqual({ ...(await plain.hGetAll("tls:hash")) }, { a: "1", b: "2" });
    const [set, got] = await redis.multi().set("tls:k", "v").get("tls:k").exec();
    assert.deepEqual([set, got], ["OK", "v"]);
    await redis.close();
    await plain.close();
  });
}

test("@upstash/redis reaches the REST door over HTTPS", async () => {
  const redis = new Upstash({
    url: process.env.EAVE_REST_TLS_URL,
    token: process.env.EAVE_REST_TOKEN,
    enableTelemetry: false,
  });
  assert.equal(await redis.set("tls:rest", { deep: [1, 2] }), "OK");
  assert.deepEqual(await redis.get("tls:rest"), { deep: [1, 2] });
  const many = await Promise.all(Array.from({ length: 50 }, (_, n) => redis.incrby("tls:n", n)));
  assert.equal(Math.max(...many), (49 * 50) / 2);
});
