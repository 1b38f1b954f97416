// @upstash/redis: subscribe and psubscribe, over server-sent events.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Redis } from "@upstash/redis";
import { rest } from "./support.mjs";

const redis = new Redis(rest());

/** Waits for something that a listener is told. */
const next = (subscriber, event) =>
  new Promise((resolve, reject) => {
    subscriber.on(event, resolve);
    subscriber.on("error", reject);
  });

test("a channel", async () => {
  const subscriber = redis.subscribe("chat/room 1");
  await next(subscriber, "subscribe");
  const heard = [];
  const done = new Promise((resolve) => {
    subscriber.on("message", ({ channel, message }) => {
      assert.equal(channel, "chat/room 1");
      heard.push(message);
      if (heard.length === 3) resolve();
    });
  });
  assert.equal(await redis.publish("chat/room 1", { text: "one\ntwo", n: 1 }), 1);
  await redis.publish("chat/room 1", "plain, with a comma");
  await redis.publish("chat/room 1", 7);
  await done;
  assert.deepEqual(heard, [{ text: "one\ntwo", n: 1 }, "plain, with a comma", 7]);
  await subscriber.unsubscribe();
  const end = Date.now() + 10_000;
  while ((await redis.publish("chat/room 1", "x")) > 0) assert.ok(Date.now() < end);
});

test("a pattern", async () => {
  const subscriber = redis.psubscribe("user:*");
  await next(subscriber, "psubscribe");
  const heard = next(subscriber, "pmessage");
  assert.equal(await redis.publish("user:7", { seen: true }), 1);
  const { pattern, channel, message } = await heard;
  assert.deepEqual([pattern, channel, message], ["user:*", "user:7", { seen: true }]);
  await subscriber.unsubscribe();
});
