// express-session with connect-redis: sessions of an HTTP server, kept in the server.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, beforeEach, test } from "node:test";
import { RedisStore } from "connect-redis";
import session from "express-session";
import { createClient } from "redis";
import { resp, within } from "./support.mjs";

let [redis, store, web, url] = [];

before(async () => {
  redis = await createClient({ socket: resp() }).connect();
  store = new RedisStore({ client: redis, prefix: "app:", scanCount: 10 });
  const sessions = session({
    store,
    secret: "of the tests",
    resave: false,
    saveUninitialized: false,
    rolling: true,
    cookie: { maxAge: 600_000 },
  });
  web = createServer((request, response) => sessions(request, response, () => answer(request, response)));
  await new Promise((listening) => web.listen(0, "127.0.0.1", listening));
  url = `http://127.0.0.1:${web.address().port}`;
});
beforeEach(() => redis.flushAll());
after(async () => {
  web.closeAllConnections();
  web.close();
  await redis.close();
});

/** The web application: it counts visits, signs a visitor in anew, and forgets one. */
function answer(request, response) {
  const visit = request.session;
  const say = (text) => (error) => response.end(error ? `failed: ${error}` : `${text}`);
  if (request.url === "/leave") return visit.destroy(say("bye"));
  if (request.url === "/sign-in") {
    return visit.regenerate((error) => {
      request.session.user = "ünï";
      say("welcome")(error);
    });
  }
  if (request.url === "/user") return say(visit.user)();
  visit.visits = (visit.visits ?? 0) + 1;
  return say(visit.visits)();
}

/** A browser that keeps its cookie. */
function browser() {
  let cookie = "";
  return async (path) => {
    const response = await fetch(url + path, { headers: { cookie } });
    const [set] = response.headers.getSetCookie();
    if (set) [cookie] = set.split(";");
    return response.text();
  };
}

const call = (method, ...argv) =>
  new Promise((resolve, reject) => {
    store[method](...argv, (error, value) => (error ? reject(error) : resolve(value)));
  });

test("every browser has a session of its own", async () => {
  const [one, other] = [browser(), browser()];
  assert.equal(await one("/"), "1");
  assert.equal(await one("/"), "2");
  assert.equal(await other("/"), "1");
  assert.equal(await one("/"), "3");
  const keys = await redis.keys("app:*");
  assert.equal(keys.length, 2);
  within(await redis.ttl(keys[0]), 600, 300);
});

test("signing in makes a new session, leaving ends it", async () => {
  const visitor = browser();
  await visitor("/");
  const [before] = await redis.keys("app:*");
  assert.equal(await visitor("/sign-in"), "welcome");
  const [behind] = await redis.keys("app:*");
  assert.notEqual(behind, before);
  assert.equal(await visitor("/user"), "ünï");
  assert.equal(await visitor("/leave"), "bye");
  assert.deepEqual(await redis.keys("app:*"), []);
  assert.equal(await visitor("/"), "1");
});

test("a visit moves the end of a session", async () => {
  const visitor = browser();
  await visitor("/sign-in");
  const [key] = await redis.keys("app:*");
  await redis.expire(key, 5);
  assert.equal(await visitor("/user"), "ünï");
  within(await redis.ttl(key), 600, 300);
});

test("all sessions are listed, counted and cleared", async () => {
  for (let n = 0; n < 120; n += 1) {
    await call("set", `s${n}`, { cookie: { maxAge: null }, n });
  }
  await redis.set("other", "kept");
  assert.equal(await call("length"), 120);
  assert.equal((await call("ids")).length, 120);
  const all = await call("all");
  assert.deepEqual(all.map(({ n }) => n).sort((a, b) => a - b), all.map((_, n) => n));
  within(await redis.ttl("app:s0"), 86400, 43200);
  await call("clear");
  assert.deepEqual(await redis.keys("*"), ["other"]);
  assert.equal(await call("get", "s0"), null);
});
