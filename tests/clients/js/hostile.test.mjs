// Bad input on the RESP port: each is answered with an error or closed in order, and a
// neighbour on another connection is served throughout.

import assert from "node:assert/strict";
import { connect } from "node:net";
import { after, before, test } from "node:test";
import { Redis } from "ioredis";
import { resp } from "./support.mjs";

let neighbour;
before(() => {
  neighbour = new Redis(resp());
});
after(() => neighbour.quit());

/**
 * Sends bytes, and returns what came until the server closed, or until `enough` matched.
 * A server that does neither makes the test fail by its timeout.
 */
function exchange(bytes, enough) {
  return new Promise((resolve, reject) => {
    const { host, port } = resp();
    const socket = connect(port, host);
    let text = "";
    const end = (outcome) => {
      socket.destroy();
      outcome(text);
    };
    socket.setTimeout(30000, () => end(() => reject(new Error(`no answer, no close: ${text}`))));
    socket.on("data", (chunk) => {
      text += chunk.toString("latin1");
      if (enough?.test(text)) end(resolve);
    });
    // A reset is a close: the server may not have read all that was sent.
    socket.on("error", () => end(resolve));
    socket.on("close", () => end(resolve));
    socket.write(bytes);
  });
}

const alive = async () => assert.equal(await neighbour.ping(), "PONG");

const closedWith = {
  "a multibulk count that is no number": ["*abc\r\n", /^-ERR Protocol error: invalid multibulk length/],
  "a multibulk count beyond reason": ["*2147483648\r\n", /^-ERR Protocol error: invalid multibulk length/],
  "something else than a bulk": ["*1\r\n:1\r\n", /^-ERR Protocol error: expected '\$', got ':'/],
  "a nest of arrays": ["*1\r\n".repeat(20000), /^-ERR Protocol error: expected '\$', got '\*'/],
  "a bulk length that is no number": ["*1\r\n$x\r\n", /^-ERR Protocol error: invalid bulk length/],
  "a negative bulk length": ["*1\r\n$-1\r\n", /^-ERR Protocol error: invalid bulk length/],
  "a bulk length beyond the limit": ["*1\r\n$99999999999\r\n", /^-ERR Protocol error: invalid bulk length/],
  "quotes that do not close": ['SET k "v\r\n', /^-ERR Protocol error: unbalanced quotes in request/],
};

for (const [name, [bytes, wanted]] of Object.entries(closedWith)) {
  test(`${name} is a protocol error, and closes`, async () => {
    assert.match(await exchange(bytes), wanted);
    await alive();
  });
}

test("an inline request without an end is cut off", async () => {
  assert.match(await exchange("A".repeat(1 << 20)), /^(-ERR Protocol error: too big inline request.*)?/);
  await alive();
});

test("HTTP on the RESP port is closed without an answer to it", async () => {
  const text = await exchange("POST / HTTP/1.1\r\nHost: x\r\n\r\nSET k v\r\n");
  assert.doesNotMatch(text, /\+OK/);
  await alive();
});

test("empty requests are passed over", async () => {
  assert.equal(await exchange("\r\n*0\r\n*-1\r\n\r\nPING\r\n", /PONG/), "+PONG\r\n");
});

test("wrong commands and arguments are errors, and the connection goes on", async () => {
  const request = "NOSUCH\r\nGET\r\nGET a b\r\nSET k v EX x\r\nEXPIRE k x\r\nSELECT 99999\r\nPING\r\n";
  const lines = (await exchange(request, /PONG/)).trim().split("\r\n");
  assert.equal(lines.length, 7);
  assert.ok(lines.slice(0, 6).every((line) => line.startsWith("-ERR ")), lines.join("\n"));
});

test("an error never carries a line of its own making", async () => {
  const name = "x\r\n+INJECTED";
  const request = `*1\r\n$${name.length}\r\n${name}\r\n*1\r\n$4\r\nPING\r\n`;
  const text = await exchange(request, /PONG/);
  assert.doesNotMatch(text, /^\+INJECTED/m);
});

test("a request may come byte by byte", async () => {
  const { host, port } = resp();
  const socket = connect(port, host).setNoDelay(true);
  const answer = new Promise((resolve) => {
    let text = "";
    socket.on("data", (chunk) => {
      text += chunk;
      if (text.endsWith("\r\nb\r\n")) resolve(text);
    });
  });
  for (const byte of "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nb\r\nGET k\r\n") {
    await new Promise((sent) => socket.write(byte, sent));
  }
  assert.equal(await answer, "+OK\r\n$1\r\nb\r\n");
  socket.destroy();
});

test("a client that leaves in the middle of a request disturbs nobody", async () => {
  const { host, port } = resp();
  await Promise.all(
    Array.from({ length: 50 }, async () => {
      const socket = connect(port, host);
      await new Promise((sent) => socket.write("*3\r\n$3\r\nSET\r\n$4\r\nhalf\r\n$100\r\nx", sent));
      socket.destroy();
    }),
  );
  assert.equal(await neighbour.exists("half"), 0);
});

test("a pipeline of fifty thousand requests in one write", async () => {
  const text = await exchange("PING\r\n".repeat(50000) + "ECHO end\r\n", /end\r\n$/);
  assert.equal(text.length, 7 * 50000 + "$3\r\nend\r\n".length);
});

test("a client that asks and never reads is held back, and others are served", async () => {
  await neighbour.set("big", "x".repeat(1 << 20));
  const { host, port } = resp();
  const socket = connect(port, host).pause();
  socket.on("error", () => {});
  socket.write("GET big\r\n".repeat(200));
  for (let n = 0; n < 100; n += 1) await alive();
  socket.destroy();
  await neighbour.del("big");
});
