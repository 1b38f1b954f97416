// The REST dialect as curl and edge functions without an SDK speak it: plain `fetch`,
// and a bare socket where `fetch` will not send what has to be tried.

import assert from "node:assert/strict";
import { connect } from "node:net";
import { beforeEach, describe, test } from "node:test";
import { rest, within } from "./support.mjs";

const { url, token } = rest();
const bearer = { Authorization: `Bearer ${token}` };

/** Sends one request; the token is added unless `headers` brings its own. */
function ask(path, { method = "GET", headers = {}, body } = {}) {
  return fetch(url + path, { method, headers: { ...bearer, ...headers }, body });
}

/** The result of a request that has to succeed. */
async function result(path, options) {
  const response = await ask(path, options);
  const text = await response.text();
  assert.equal(response.status, 200, text);
  assert.match(response.headers.get("content-type"), /^application\/json/);
  const answer = JSON.parse(text);
  assert.deepEqual(Object.keys(answer), ["result"]);
  return answer.result;
}

/** The error of a request that has to fail with `status`. */
async function refusal(status, path, options) {
  const response = await ask(path, options);
  const text = await response.text();
  assert.equal(response.status, status, text);
  assert.match(response.headers.get("content-type"), /^application\/json/);
  const answer = JSON.parse(text);
  assert.deepEqual(Object.keys(answer), ["error"]);
  assert.equal(typeof answer.error, "string");
  return answer.error;
}

const command = (...words) => ({ method: "POST", body: JSON.stringify(words) });
const post = (body, headers) => ({
  method: "POST",
  headers,
  body: typeof body === "string" ? body : JSON.stringify(body),
});

beforeEach(() => result("/", command("FLUSHALL")));

describe("path style", () => {
  test("the path is the command", async () => {
    assert.equal(await result("/set/k/v"), "OK");
    assert.equal(await result("/GeT/k"), "v");
    assert.equal(await result("/get/k/"), "v");
    assert.equal(await result("/get/none"), null);
    assert.equal(await result("/incr/n", { method: "POST" }), 1);
    assert.equal(await result("/incr/n", { method: "PUT" }), 2);
    assert.deepEqual(await result("/mget/k/none/n"), ["v", null, "2"]);
    assert.deepEqual(await result("/hset/h/f/v"), 1);
    assert.deepEqual(await result("/hgetall/h"), ["f", "v"]);
  });

  test("segments are decoded after the path was split", async () => {
    await result("/set/a%2Fb/c%20d%25");
    assert.equal(await result("/", command("GET", "a/b")), "c d%");
    await result("/set/plus/1+1");
    assert.equal(await result("/get/plus"), "1+1");
    await result("/set/%C3%A9t%C3%A9/%E2%9C%93");
    assert.equal(await result("/", command("GET", "été")), "✓");
  });

  test("a broken escape stays as it is", async () => {
    assert.equal(await raw("GET /set/k/100%zz% HTTP/1.1"), 200);
    assert.equal(await result("/", command("GET", "k")), "100%zz%");
  });

  test("query parameters follow, and the body stands before them", async () => {
    assert.equal(await result("/set/k/v?EX=100"), "OK");
    within(await result("/ttl/k"), 100, 60);
    assert.equal(await result("/set/k?PX=100000", { method: "POST", body: "a/b ?&=\n" }), "OK");
    assert.equal(await result("/get/k"), "a/b ?&=\n");
    within(await result("/pttl/k"), 100000, 60000);
    const bytes = new Uint8Array([0, 1, 2, 13, 10, 65]);
    assert.equal(await result("/set/binary", { method: "POST", body: bytes }), "OK");
    assert.equal(await result("/strlen/binary"), 6);
    assert.equal(await result("/getrange/binary/5/5"), "A");
  });
});

describe("a command as JSON", () => {
  test("words may be strings, numbers and booleans", async () => {
    assert.equal(await result("/", command("SET", "n", 12)), "OK");
    assert.equal(await result("/", command("GET", "n")), "12");
    await result("/", command("SET", "b", true));
    assert.equal(await result("/", command("GET", "b")), "true");
  });

  test("numbers keep the digits they were written with", async () => {
    for (const digits of ["1.0", "1e+21", "12345678901234567000", "-0", "0.10"]) {
      await result("/", post(`["SET","k",${digits}]`));
      assert.equal(await result("/", command("GET", "k")), digits);
    }
  });

  test("what is not a command is refused", async () => {
    assert.match(await refusal(400, "/", post("")), /./);
    assert.match(await refusal(400, "/", post("[]")), /empty command/);
    assert.match(await refusal(400, "/", post('["SET","k"')), /./);
    assert.match(await refusal(400, "/", post('{"a":1}')), /./);
    assert.match(await refusal(400, "/", post('["GET",null]')), /null/);
    assert.match(await refusal(400, "/", post('["GET",["k"]]')), /unsupported arg type/);
    assert.match(await refusal(400, "/", post('["GET",{"k":1}]')), /unsupported arg type/);
    assert.match(await refusal(400, "/", post("[".repeat(100000))), /./);
    assert.match(await refusal(400, "/"), /empty command/);
  });

  test("a command that fails is a 400 with Redis' own words", async () => {
    await result("/set/text/x");
    assert.match(await refusal(400, "/incr/text"), /^ERR value is not an integer or out of range/);
    assert.match(await refusal(400, "/hget/text/f"), /^WRONGTYPE Operation against a key holding/);
    assert.match(await refusal(400, "/get"), /^ERR wrong number of arguments for 'get' command/);
    assert.match(await refusal(400, "/nosuch/x"), /Command is not available: 'nosuch'/i);
  });

  test("commands that need a connection of their own are refused", async () => {
    for (const name of ["MULTI", "EXEC", "WATCH", "HELLO", "AUTH", "RESET", "SUBSCRIBE"]) {
      assert.match(await refusal(400, "/", command(name, "3")), /is not allowed in REST/, name);
    }
    assert.equal(await result("/", command("CLIENT", "SETINFO", "LIB-NAME", "x")), "OK");
  });
});

describe("pipelines", () => {
  test("errors are items, and their neighbours are answered", async () => {
    const body = [["SET", "k", "x"], ["INCR", "k"], ["GET", "k"], ["GET", "none"], ["NOSUCH"]];
    const response = await ask("/pipeline", post(body));
    assert.equal(response.status, 200);
    const items = await response.json();
    assert.deepEqual([items[0], items[2], items[3]], [
      { result: "OK" },
      { result: "x" },
      { result: null },
    ]);
    assert.match(items[1].error, /^ERR value is not an integer/);
    assert.deepEqual(Object.keys(items[4]), ["error"]);
  });

  test("what is not a pipeline is refused as a whole", async () => {
    for (const body of ["", "[]", "{}", "nonsense", '["GET","k"]', "[[]]"]) {
      await refusal(400, "/pipeline", post(body));
    }
    await refusal(400, "/pipeline", post('[["SET","k","v"],[]]'));
    assert.equal(await result("/exists/k"), 0);
  });

  test("a thousand commands", async () => {
    const body = Array.from({ length: 1000 }, () => ["INCR", "n"]);
    const items = await (await ask("/pipeline", post(body))).json();
    assert.deepEqual(items.map((item) => item.result), body.map((_, n) => n + 1));
  });
});

describe("transactions", () => {
  test("errors while running are items", async () => {
    const body = [["SET", "k", "x"], ["INCR", "k"], ["GET", "k"]];
    const response = await ask("/multi-exec", post(body));
    assert.equal(response.status, 200);
    const items = await response.json();
    assert.deepEqual([items[0], items[2]], [{ result: "OK" }, { result: "x" }]);
    assert.match(items[1].error, /^ERR value is not an integer/);
  });

  test("one bad command discards the whole", async () => {
    for (const bad of [["NOSUCH"], ["GET"], [], ["WATCH", "k"], ["SUBSCRIBE", "c"]]) {
      await refusal(400, "/multi-exec", post([["SET", "k", "v"], bad]));
      assert.equal(await result("/exists/k"), 0, JSON.stringify(bad));
    }
  });
});

describe("base64", () => {
  const headers = { "Upstash-Encoding": "base64" };
  const encoded = (text) => Buffer.from(text).toString("base64");

  test("every string but a status OK is encoded", async () => {
    assert.equal(await result("/set/k/OK", { headers }), "OK");
    assert.equal(await result("/get/k", { headers }), encoded("OK"));
    assert.equal(await result("/ping", { headers }), encoded("PONG"));
    assert.equal(await result("/type/k", { headers }), encoded("string"));
    assert.equal(await result("/strlen/k", { headers }), 2);
    assert.equal(await result("/get/none", { headers }), null);
    assert.deepEqual(await result("/mget/k/none", { headers }), [encoded("OK"), null]);
    const [cursor, keys] = await result("/scan/0", { headers });
    assert.deepEqual([cursor, keys], [encoded("0"), [encoded("k")]]);
    await result("/", command("HSET", "h", "f", "v"));
    assert.match(await refusal(400, "/get/h", { headers }), /^WRONGTYPE/);
  });

  test("bytes that are not UTF-8 survive", async () => {
    const bytes = new Uint8Array([0xff, 0x00, 0xfe]);
    await result("/set/k", { method: "POST", body: bytes });
    assert.equal(await result("/get/k", { headers }), Buffer.from(bytes).toString("base64"));
    assert.equal(await result("/get/k"), "\ufffd\0\ufffd");
  });

  test("in pipelines and transactions", async () => {
    const body = [["SET", "k", "v"], ["GET", "k"], ["PING"]];
    for (const path of ["/pipeline", "/multi-exec"]) {
      const items = await (await ask(path, post(body, headers))).json();
      assert.deepEqual(items, [
        { result: "OK" },
        { result: encoded("v") },
        { result: encoded("PONG") },
      ]);
    }
  });
});

describe("the RESP2 format", () => {
  const headers = { "Upstash-Response-Format": "resp2" };

  test("the body is what a socket would carry", async () => {
    const response = await ask("/set/k/v", { headers });
    assert.equal(response.headers.get("content-type"), "application/octet-stream");
    assert.equal(await response.text(), "+OK\r\n");
    assert.equal(await (await ask("/get/k", { headers })).text(), "$1\r\nv\r\n");
    assert.equal(await (await ask("/get/none", { headers })).text(), "$-1\r\n");
    const failed = await ask("/incr/k", { headers });
    assert.equal(failed.status, 400);
    assert.match(await failed.text(), /^-ERR value is not an integer.*\r\n$/);
    const piped = await ask("/pipeline", post([["GET", "k"], ["DBSIZE"]], headers));
    assert.equal(await piped.text(), "$1\r\nv\r\n:1\r\n");
  });

  test("other formats are refused, and so is base64 of this one", async () => {
    await refusal(400, "/ping", { headers: { "Upstash-Response-Format": "resp9" } });
    const both = { ...headers, "Upstash-Encoding": "base64" };
    assert.equal((await ask("/ping", { headers: both })).status, 400);
    const json = { headers: { "Upstash-Response-Format": "json" } };
    assert.equal(await result("/ping", json), "PONG");
    const items = await (await ask("/multi-exec", post([["PING"]], headers))).json();
    assert.deepEqual(items, [{ result: "PONG" }]);
  });
});

describe("tokens", () => {
  const wrong = [{ Authorization: "Bearer wrong" }, { Authorization: "" }, { Authorization: "Bearer" }];

  test("without the right one nothing is done", async () => {
    for (const headers of wrong) {
      for (const path of ["/set/k/v", "/pipeline", "/multi-exec", "/nosuch", "/v1/take"]) {
        const error = await refusal(401, path, { method: "POST", headers, body: '[["SET","k","v"]]' });
        assert.match(error, /^WRONGPASS/);
      }
    }
    assert.equal(await result("/exists/k"), 0);
  });

  test("the query may carry it, and wins", async () => {
    const none = { Authorization: "" };
    assert.equal(await result(`/set/k/v?_token=${token}&EX=100`, { headers: none }), "OK");
    assert.equal(await result("/get/k"), "v");
    assert.equal(await result(`/echo/x?_token=${token}`, { headers: wrong[0] }), "x");
    await refusal(401, "/echo/x?_token=wrong");
  });

  test("the scheme is written in any case", async () => {
    assert.equal(await result("/ping", { headers: { Authorization: `bEARER ${token}` } }), "PONG");
  });
});

describe("methods", () => {
  test("others than GET, HEAD, POST and PUT are 405", async () => {
    for (const method of ["DELETE", "PATCH"]) {
      assert.equal((await ask("/get/k", { method })).status, 405);
      assert.equal((await ask("/pipeline", { method })).status, 405);
    }
  });

  test("HEAD has the status and no body", async () => {
    await result("/set/k/v");
    const response = await ask("/get/k", { method: "HEAD" });
    assert.equal(response.status, 200);
    assert.equal(await response.text(), "");
    assert.equal((await ask("/incr/k", { method: "HEAD" })).status, 400);
  });

  test("a browser may ask first, and sees the sync token", async () => {
    const origin = "https://app.example";
    const asked = "authorization, content-type, upstash-encoding, upstash-sync-token";
    // Without a token, as browsers send it.
    const preflight = await fetch(`${url}/pipeline`, {
      method: "OPTIONS",
      headers: {
        Origin: origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": asked,
      },
    });
    assert.ok(preflight.ok, `${preflight.status}`);
    assert.equal(preflight.headers.get("access-control-allow-origin"), origin);
    const allowed = preflight.headers.get("access-control-allow-headers").toLowerCase();
    for (const header of asked.split(", ")) assert.ok(allowed.includes(header), header);
    const response = await ask("/ping", { headers: { Origin: origin } });
    assert.equal(response.headers.get("access-control-allow-origin"), origin);
    const exposed = response.headers.get("access-control-expose-headers").toLowerCase();
    assert.ok(exposed.includes("upstash-sync-token"));
  });
});

describe("the sync token", () => {
  const tokenOf = async (path, options) => {
    const response = await ask(path, options);
    await response.arrayBuffer();
    return response.headers.get("upstash-sync-token");
  };

  test("every answer has one, and every write moves it", async () => {
    const tokens = [
      await tokenOf("/set/k/same"),
      await tokenOf("/set/k/same"),
      await tokenOf("/pipeline", post([["SET", "k", "same"]])),
      await tokenOf("/multi-exec", post([["SET", "k", "same"], ["SET", "k", "same"]])),
      await tokenOf("/incr/n"),
    ];
    assert.ok(tokens.every(Boolean), `${tokens}`);
    assert.equal(new Set(tokens).size, tokens.length, `${tokens}`);
    assert.equal(await tokenOf("/get/k"), tokens.at(-1));
    assert.ok(await tokenOf("/nosuch"));
  });

  test("whatever is sent, the answer comes", async () => {
    const last = await tokenOf("/set/k/v");
    for (const sent of [last, "", "my-new-sync-token", "-1", "9".repeat(400)]) {
      assert.equal(await result("/get/k", { headers: { "upstash-sync-token": sent } }), "v");
    }
  });
});

describe("limits and neighbours", () => {
  test("a body beyond the limit is refused, and the server goes on", async () => {
    const response = await ask("/set/k", { method: "POST", body: "x".repeat(40 << 20) }).catch(
      // The server may close before it has read it all.
      () => null,
    );
    if (response) assert.ok([400, 413].includes(response.status), `${response.status}`);
    assert.equal(await result("/exists/k"), 0);
  });

  test("garbage is answered or closed, and the server goes on", async () => {
    await raw("\0\x01\x02nonsense");
    await raw("GET");
    await raw("GET / HTTP/9.9");
    assert.equal(await result("/ping"), "PONG");
  });

  test("whether it lives is told without a token", async () => {
    assert.equal((await fetch(`${url}/health`)).status, 200);
  });
});

/** Sends a request line as it is, and returns the status, or nothing when there is none. */
function raw(line) {
  const { hostname, port } = new URL(url);
  return new Promise((resolve) => {
    const socket = connect(Number(port), hostname);
    let text = "";
    socket.setTimeout(20000, () => socket.destroy());
    socket.on("data", (bytes) => (text += bytes));
    socket.on("error", () => {});
    socket.on("close", () => resolve(Number(text.split(" ")[1]) || null));
    socket.write(`${line}\r\nHost: x\r\nAuthorization: Bearer ${token}\r\nConnection: close\r\n\r\n`);
  });
}
