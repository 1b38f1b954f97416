// A function at the edge: TypeScript, bundled by esbuild and run by workerd, the runtime of
// Cloudflare Workers. It has fetch and no sockets, and speaks to Eave by @upstash/redis.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { build } from "esbuild";
import { rest, until } from "./support.mjs";

/** The function: counts visits, keeps a profile, and admits three requests a minute of each. */
const SOURCE = `
import { Redis } from "@upstash/redis/cloudflare";

interface Env { UPSTASH_REDIS_REST_URL: string; UPSTASH_REDIS_REST_TOKEN: string }

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const redis = Redis.fromEnv(env);
    const who: string = new URL(request.url).searchParams.get("who") ?? "nobody";
    const [allowed] = await redis.exec<[number]>(["RL.TAKE", "edge:" + who, "3/60s"]);
    if (!allowed) return Response.json({ error: "too many" }, { status: 429 });
    const [visits, , profile] = await Promise.all([
      redis.incr("visits:" + who),
      redis.hset("profile:" + who, { name: who, seen: { at: "edge" } }),
      redis.hgetall<{ name: string }>("profile:" + who),
    ]);
    const all = await redis.pipeline().get<number>("visits:" + who).type("profile:" + who).exec();
    return Response.json({ visits, all, known: profile === null || profile.name === who });
  },
};
`;

// Of the package `workerd` only the program of this machine is needed; the whole of it wants
// those of every system at installation.
const machine = { x64: "64", arm64: "arm64" }[process.arch];
const workerd = join(
  import.meta.dirname,
  `node_modules/@cloudflare/workerd-linux-${machine}/bin/workerd`,
);

let folder, worker, port;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "eave-edge-"));
  await build({
    stdin: { contents: SOURCE, resolveDir: import.meta.dirname, loader: "ts" },
    bundle: true,
    format: "esm",
    conditions: ["workerd", "worker"],
    outfile: join(folder, "worker.mjs"),
    logLevel: "error",
  });
  port = await new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
  await writeFile(
    join(folder, "config.capnp"),
    `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = (
      modules = [(name = "worker", esModule = embed "worker.mjs")],
      compatibilityDate = "2025-01-01",
      bindings = [
        (name = "UPSTASH_REDIS_REST_URL", text = "${rest().url}"),
        (name = "UPSTASH_REDIS_REST_TOKEN", text = "${rest().token}"),
      ],
    )),
    (name = "internet", network = (allow = ["private", "public"])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "main")],
);
`,
  );
  worker = spawn(workerd, ["serve", join(folder, "config.capnp")], { stdio: "inherit" });
  await until(() => fetch(`http://127.0.0.1:${port}/?who=first`).catch(() => null), "workerd");
});

after(async () => {
  worker?.kill();
  await rm(folder, { recursive: true, force: true });
});

const ask = (who) => fetch(`http://127.0.0.1:${port}/?who=${who}`);

test("a function at the edge reads, writes and limits", async () => {
  for (const visits of [1, 2, 3]) {
    const response = await ask("ann");
    const text = await response.text();
    assert.equal(response.status, 200, text);
    assert.deepEqual(JSON.parse(text), { visits, all: [visits, "hash"], known: true });
  }
  assert.equal((await ask("ann")).status, 429);
  assert.equal((await ask("bob")).status, 200);
});

test("many at once are each counted", async () => {
  const names = Array.from({ length: 60 }, (_, n) => `many${n % 20}`);
  const statuses = await Promise.all(names.map(async (who) => (await ask(who)).status));
  assert.ok(statuses.every((status) => status === 200), `${statuses}`);
  const response = await fetch(`${rest().url}/mget/${[...new Set(names)].map((who) => `visits:${who}`).join("/")}`, {
    headers: { Authorization: `Bearer ${rest().token}` },
  });
  assert.ok((await response.json()).result.every((visits) => visits === "3"));
});
