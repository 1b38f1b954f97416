// node-redis' client-side cache: reads are kept, and dropped when another client writes.

import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { BasicClientSideCache, createClient } from "redis";
import { resp } from "./support.mjs";

let cache, cached, other;

before(async () => {
  cache = new BasicClientSideCache({ ttl: 0, maxEntries: 0 });
  cached = await createClient({ socket: resp(), RESP: 3, clientSideCache: cache }).connect();
  other = await createClient({ socket: resp() }).connect();
});
beforeEach(() => other.flushAll());
after(() => {
  cached.close();
  other.close();
});

/** What a client keeps may be old for a moment. */
async function until(read, wanted) {
  const end = Date.now() + 10_000;
  for (;;) {
    // What is kept is answered without I/O: let the socket be read.
    await new Promise(setImmediate);
    const found = await read();
    try {
      return assert.deepEqual(found, wanted);
    } catch (error) {
      if (Date.now() > end) throw error;
    }
  }
}

test("a read is kept", async () => {
  await other.set("k", "1");
  assert.equal(await cached.get("k"), "1");
  const hits = cache.stats().hitCount;
  for (let n = 0; n < 10; n++) assert.equal(await cached.get("k"), "1");
  assert.equal(cache.stats().hitCount, hits + 10);
});

test("a write of another client drops it", async () => {
  await other.set("k", "1");
  assert.equal(await cached.get("k"), "1");
  await other.set("k", "2");
  await until(() => cached.get("k"), "2");
  await other.del("k");
  await until(() => cached.get("k"), null);
});

test("its own write drops it", async () => {
  await cached.hSet("h", "a", "1");
  assert.equal(await cached.hGet("h", "a"), "1");
  await cached.hSet("h", "a", "2");
  await until(() => cached.hGet("h", "a"), "2");
});

test("expiry and flush drop it", async () => {
  await other.set("k", "1", { PX: 100 });
  assert.equal(await cached.get("k"), "1");
  await until(() => cached.get("k"), null);
  await other.set("j", "1");
  await until(() => cached.get("j"), "1");
  await other.flushAll();
  await until(() => cached.get("j"), null);
});
