// express-rate-limit with rate-limit-redis, over ioredis: an HTTP server that refuses.

import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import express from "express";
import { rateLimit } from "express-rate-limit";
import { Redis } from "ioredis";
import { RedisStore } from "rate-limit-redis";
import { resp, until, within } from "./support.mjs";

let [redis, server, url, store] = [];

before(async () => {
  redis = new Redis(resp());
  const app = express();
  const limited = (path, options) => {
    const store = new RedisStore({ sendCommand: (...words) => redis.call(...words), prefix: `${path}:` });
    app.get(path, rateLimit({ store, standardHeaders: "draft-7", legacyHeaders: false, ...options }));
    app.get(path, (_, response) => response.send("in"));
    return store;
  };
  store = limited("/few", { windowMs: 3_600_000, limit: 3 });
  limited("/short", { windowMs: 500, limit: 1 });
  limited("/failures", { windowMs: 3_600_000, limit: 2, skipSuccessfulRequests: true });
  server = app.listen(0, "127.0.0.1");
  await until(() => server.listening);
  url = `http://127.0.0.1:${server.address().port}`;
});
beforeEach(async () => {
  const keys = await redis.keys("/*");
  if (keys.length > 0) await redis.del(keys);
});
after(async () => {
  server.close();
  server.closeAllConnections();
  await redis.quit();
});

const status = async (path) => (await fetch(url + path)).status;

test("requests are counted until there are too many", async () => {
  const first = await fetch(`${url}/few`);
  assert.match(first.headers.get("ratelimit"), /limit=3, remaining=2, reset=3[56]\d\d/);
  assert.deepEqual([await status("/few"), await status("/few"), await status("/few")], [200, 200, 429]);
  const refused = await fetch(`${url}/few`);
  within(Number(refused.headers.get("retry-after")), 3600, 600);
  const [key] = await redis.keys("/few:*");
  assert.equal(await redis.get(key), "5");
});

test("a window that has ended begins anew", async () => {
  assert.equal(await status("/short"), 200);
  await until(async () => (await status("/short")) === 200);
});

test("requests that are not to count are given back", async () => {
  for (let count = 0; count < 4; count += 1) {
    assert.equal(await status("/failures"), 200);
    await until(async () => {
      const [key] = await redis.keys("/failures:*");
      return (await redis.get(key)) === "0";
    });
  }
});

test("the store on its own, and after scripts were forgotten", async () => {
  const hit = await store.increment("user");
  assert.equal(hit.totalHits, 1);
  await redis.script("FLUSH");
  assert.equal((await store.increment("user")).totalHits, 2);
  assert.equal((await store.get("user")).totalHits, 2);
  await store.decrement("user");
  assert.equal((await store.get("user")).totalHits, 1);
  await store.resetKey("user");
  assert.equal((await store.get("user")).totalHits, Number.NaN);
  assert.deepEqual(await redis.keys("/few:user"), []);
});
