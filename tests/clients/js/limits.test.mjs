// Rate limits over HTTP: /v1/take and /v1/peek, their status, body and headers.

import assert from "node:assert/strict";
import { test } from "node:test";
import { rest } from "./support.mjs";

const { url, token } = rest();
let fresh = 0;

/** A key that no other test uses. */
const newKey = () => `user:${++fresh}`;

function post(path, body) {
  return fetch(url + path, {
    method: "POST",
    headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
}

async function take(body, path = "/v1/take") {
  const response = await post(path, body);
  return { status: response.status, headers: response.headers, body: await response.json() };
}

/** `"policy";r=1;t=2` as its numbers. */
function parameters(header) {
  assert.match(header, /^"[^"]+"(;[a-z]+=\d+)+$/);
  return Object.fromEntries([...header.matchAll(/;([a-z]+)=(\d+)/g)].map((m) => [m[1], Number(m[2])]));
}

test("allowed until the limit, then 429 with the time to wait", async () => {
  const key = newKey();
  for (const remaining of [2, 1, 0]) {
    const { status, headers, body } = await take({ key, rule: "3/60s" });
    assert.equal(status, 200);
    const { allowed, limit, retryAfterMs, resetAfterMs, rule } = body;
    assert.deepEqual([allowed, limit, body.remaining, retryAfterMs], [true, 3, remaining, 0]);
    assert.ok(resetAfterMs > 0);
    assert.equal(rule, "3/60s");
    assert.equal(parameters(headers.get("ratelimit")).r, remaining);
    assert.deepEqual(parameters(headers.get("ratelimit-policy")), { q: 3, w: 60 });
    assert.equal(headers.get("retry-after"), null);
  }
  const { status, headers, body } = await take({ key, rule: "3/60s" });
  assert.equal(status, 429);
  assert.deepEqual([body.allowed, body.limit, body.remaining], [false, 3, 0]);
  assert.ok(body.retryAfterMs > 0 && body.retryAfterMs <= 61000, `${body.retryAfterMs}`);
  // Whole seconds, rounded up, and never earlier than what RateLimit says.
  const seconds = Number(headers.get("retry-after"));
  assert.equal(seconds, Math.ceil(body.retryAfterMs / 1000));
  const { r, t } = parameters(headers.get("ratelimit"));
  assert.equal(r, 0);
  assert.ok(t <= seconds, `t=${t}, Retry-After: ${seconds}`);
});

test("a refusal may be asked for as a 200", async () => {
  const body = { key: newKey(), rule: "1/60s" };
  await take(body);
  const refused = await take(body, "/v1/take?status=200");
  assert.deepEqual([refused.status, refused.body.allowed], [200, false]);
});

test("a peek takes nothing", async () => {
  const body = { key: newKey(), rule: "1/60s" };
  for (let n = 0; n < 3; n += 1) {
    const peeked = await take(body, "/v1/peek");
    assert.deepEqual([peeked.status, peeked.body.allowed], [200, true]);
  }
  assert.equal((await take(body)).status, 200);
  assert.equal((await take(body, "/v1/peek")).body.allowed, false);
});

test("costs, and a refusal that takes nothing", async () => {
  const key = newKey();
  assert.equal((await take({ key, rule: "10/60s", cost: 8 })).body.remaining, 2);
  assert.equal((await take({ key, rule: "10/60s", cost: 3 })).status, 429);
  assert.equal((await take({ key, rule: "10/60s", cost: 2 })).body.remaining, 0);
  const never = await take({ key, rule: "10/60s", cost: 11 });
  assert.deepEqual([never.status, never.body.retryAfterMs], [429, -1]);
});

test("every algorithm", async () => {
  for (const rule of ["2/60s:sliding", "2/60s:fixed", "2/60s:gcra", "2/60s:gcra:2"]) {
    const body = { key: newKey(), rule };
    const statuses = [];
    for (let n = 0; n < 3; n += 1) statuses.push((await take(body)).status);
    assert.deepEqual(statuses, [200, 200, 429], rule);
  }
});

test("both doors see one count", async () => {
  const key = newKey();
  await take({ key, rule: "2/60s" });
  const answer = await post("/", ["RL.TAKE", key, "2/60s"]);
  const { result } = await answer.json();
  assert.deepEqual(result.slice(0, 3), [1, 2, 0]);
  assert.equal((await take({ key, rule: "2/60s" })).status, 429);
});

test("bad requests are told what is wrong", async () => {
  const bad = [
    "",
    "nonsense",
    "[]",
    {},
    { key: "k" },
    { rule: "1/60s" },
    { key: "k", rule: "" },
    { key: "k", rule: "many/60s" },
    { key: "k", rule: "1/0s" },
    { key: "k", rule: "-1/60s" },
    { key: "k", rule: "1/60s:nosuch" },
    { key: "k", rule: "1/99999999999999999999w" },
    { key: "k", rule: "1/60s", cost: -1 },
    { key: "k", rule: "1/60s", cost: "many" },
  ];
  for (const body of bad) {
    const refused = await take(body);
    assert.equal(refused.status, 400, JSON.stringify(body));
    assert.equal(typeof refused.body.error, "string");
  }
  assert.match((await take({ key: "k", rule: "many/60s" })).body.error, /invalid rule/);
});

test("a key of another type is refused", async () => {
  const key = newKey();
  await post("/", ["SET", key, "text"]);
  const refused = await take({ key, rule: "1/60s" });
  assert.equal(refused.status, 400);
  assert.match(refused.body.error, /^WRONGTYPE/);
});

test("no more than the limit gets through at once", async () => {
  const body = { key: newKey(), rule: "50/60s" };
  const all = await Promise.all(Array.from({ length: 200 }, () => take(body)));
  assert.equal(all.filter(({ status }) => status === 200).length, 50);
});
