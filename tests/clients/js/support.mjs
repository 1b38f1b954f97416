// Where the server of this test is; cargo xtask test sets these, and README.md of
// tests/clients tells how to set them by hand.

import { spawn } from "node:child_process";
import { createServer } from "node:net";

function needed(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: see tests/clients/README.md`);
  return value;
}

export const resp = () => ({ host: "127.0.0.1", port: Number(needed("EAVE_RESP_PORT")) });

export const rest = () => ({ url: needed("EAVE_REST_URL"), token: needed("EAVE_REST_TOKEN") });

/** One that is far away, in seconds and milliseconds: 2100-01-01. */
export const FAR_S = 4102444800;
export const FAR_MS = FAR_S * 1000;

/** Checks that a time to live was set a moment ago: never above what was asked for. */
export function within(actual, most, slack) {
  if (!(actual <= most && actual > most - slack)) {
    throw new Error(`${actual} is not within (${most - slack}, ${most}]`);
  }
}

/** Waits until the condition holds; a slow machine may take its time. */
export async function until(condition, what = "the condition") {
  const deadline = Date.now() + 60_000;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`${what} did not come true`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Starts one more Eave, on ports of its own; `stop` ends it and expects it to end in order. */
export async function another() {
  const port = await freePort();
  const restPort = await freePort();
  const token = "token-of-another";
  const options = ["--bind", "127.0.0.1", "--port", port, "--rest-port", restPort, "--rest-token", token];
  // Its environment is its own: what begins with EAVE_ is a directive.
  const child = spawn(needed("EAVE_BINARY"), options.map(String), { env: {}, stdio: "ignore" });
  const ended = new Promise((resolve) => child.once("exit", (code) => resolve(code)));
  const url = `http://127.0.0.1:${restPort}`;
  await until(() => fetch(url).then(() => true, () => child.exitCode !== null), "another Eave");
  const stop = async () => {
    child.kill("SIGTERM");
    if ((await ended) !== 0) throw new Error("another Eave did not end in order");
  };
  return { resp: { host: "127.0.0.1", port }, rest: { url, token }, stop };
}

function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}
