// socket.io: two web servers that share their rooms through pub/sub, through sharded
// pub/sub, and through a stream.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { createAdapter, createShardedAdapter } from "@socket.io/redis-adapter";
import { createAdapter as createStreamsAdapter } from "@socket.io/redis-streams-adapter";
import { Redis } from "ioredis";
import { createClient } from "redis";
import { Server } from "socket.io";
import { io as connect } from "socket.io-client";
import { resp, until } from "./support.mjs";

const opened = [];
const redis = async () => {
  const client = await createClient({ socket: resp() }).connect();
  opened.push(() => client.close());
  return client;
};
const ioredis = () => {
  const client = new Redis(resp());
  opened.push(() => client.quit());
  return client;
};

const adapters = {
  "pub/sub over node-redis": async () => createAdapter(await redis(), await redis()),
  "pub/sub over ioredis": async () => createAdapter(ioredis(), ioredis()),
  "sharded pub/sub over node-redis": async () => createShardedAdapter(await redis(), await redis()),
  "sharded pub/sub over ioredis": async () => {
    return createShardedAdapter(ioredis(), ioredis(), { subscriptionMode: "dynamic-private" });
  },
  "a stream over node-redis": async () => createStreamsAdapter(await redis()),
  "a stream over ioredis": async () => createStreamsAdapter(ioredis(), { readCount: 10 }),
};

for (const [name, adapter] of Object.entries(adapters)) describe(name, () => suite(adapter));

function suite(adapter) {
  let [servers, sockets, clients] = [[], [], []];

  before(async () => {
    const plain = await redis();
    await plain.flushAll();
  });
  beforeEach(async () => {
    // Two servers, and a visitor at each.
    for (let n = 0; n < 2; n += 1) {
      const web = createServer();
      const server = new Server(web, { adapter: await adapter() });
      await new Promise((listening) => web.listen(0, "127.0.0.1", listening));
      servers.push(server);
      const arrival = new Promise((arrived) => server.once("connection", arrived));
      const options = { transports: ["websocket"] };
      clients.push(connect(`http://127.0.0.1:${web.address().port}`, options));
      sockets.push(await arrival);
    }
    await until(async () => (await servers[0].of("/").adapter.serverCount()) === 2);
    await until(async () => (await servers[1].of("/").adapter.serverCount()) === 2);
  });
  afterEach(async () => {
    for (const client of clients) client.disconnect();
    for (const server of servers) await server.close();
    [servers, sockets, clients] = [[], [], []];
    await Promise.all(opened.splice(0).map((close) => close()));
  });

  const heard = (client, event) => new Promise((resolve) => client.once(event, (...args) => resolve(args)));

  test("everybody hears what is said to all", async () => {
    const both = clients.map((client) => heard(client, "news"));
    servers[0].emit("news", { text: "ünï", bytes: Buffer.from([0, 255]) }, 42);
    for (const [said, number] of await Promise.all(both)) {
      assert.deepEqual([said.text, [...said.bytes], number], ["ünï", [0, 255], 42]);
    }
  });

  test("a room spans both servers", async () => {
    sockets[0].join("room");
    sockets[1].join(["room", "other"]);
    await until(async () => (await servers[0].in("room").fetchSockets()).length === 2);
    const both = clients.map((client) => heard(client, "to the room"));
    servers[1].to("room").emit("to the room", 1);
    await Promise.all(both);
    // Who says it does not hear it, nor who is in a room that is left out.
    const seen = [];
    clients.forEach((client, n) => client.on("marked", (what) => seen.push(`${n} ${what}`)));
    sockets[0].to("room").emit("marked", "by the first");
    servers[0].to("room").except("other").emit("marked", "but others");
    await until(() => seen.length === 2);
    assert.deepEqual(seen.sort(), ["0 but others", "1 by the first"]);
  });

  test("a server moves and drops the sockets of another", async () => {
    sockets[1].data.name = "the second";
    servers[0].in(sockets[1].id).socketsJoin("moved");
    await until(() => sockets[1].rooms.has("moved"));
    const [found] = await until(async () => {
      const sockets = await servers[0].in("moved").fetchSockets();
      return sockets.length === 1 && sockets;
    });
    assert.deepEqual([found.id, found.data.name], [sockets[1].id, "the second"]);
    servers[0].in(sockets[1].id).socketsLeave("moved");
    await until(() => !sockets[1].rooms.has("moved"));
    const gone = new Promise((resolve) => clients[1].once("disconnect", resolve));
    servers[0].in(sockets[1].id).disconnectSockets();
    await gone;
  });

  test("answers come back from every server", async () => {
    clients.forEach((client, n) => client.on("who", (answer) => answer(n)));
    const answers = await servers[0].timeout(60_000).emitWithAck("who");
    assert.deepEqual(answers.sort(), [0, 1]);
    for (const server of servers) server.on("load", (what, answer) => answer(`${what} of one`));
    const loads = await servers[1].serverSideEmitWithAck("load", "the load");
    assert.deepEqual(loads, ["the load of one"]);
  });
}

after(() => Promise.all(opened.splice(0).map((close) => close())));
