// Queues, workers and what else the tests of BullMQ open, closed again after each of them.
//
// BullMQ works over ioredis or over node-redis; the tests run over both.

import { FlowProducer, Queue, QueueEvents, Worker } from "bullmq";
import { Redis } from "ioredis";
import { createClient } from "redis";
import { after, afterEach, before, beforeEach, describe } from "node:test";
import { resp } from "./support.mjs";

/** Runs the suite over each client library; `bull` opens things for it. */
export function overBothClients(suite) {
  describe("over ioredis", () => {
    suite(bench(() => ({ ...resp(), maxRetriesPerRequest: null })));
  });
  describe("over node-redis", () => {
    suite(bench((clients) => {
      // BullMQ leaves a client that it was handed to its owner.
      clients.push(createClient({ socket: resp() }).on("error", () => {}));
      return clients.at(-1);
    }));
  });
}

function bench(connect) {
  const [opened, clients] = [[], []];
  const connection = () => connect(clients);
  let redis;
  const keep = (thing) => {
    opened.push(thing);
    // Without a listener the first lost connection would end the process.
    thing.on("error", () => {});
    return thing;
  };
  before(() => {
    redis = new Redis(resp());
  });
  beforeEach(() => redis.flushall());
  afterEach(async () => {
    for (const thing of opened.splice(0).reverse()) await thing.close(true);
    for (const client of clients.splice(0)) if (client.isOpen) client.destroy();
  });
  after(() => redis.quit());
  return {
    /** A plain connection to the same server. */
    plain: () => redis,
    queue: (name, options) => keep(new Queue(name, { connection: connection(), ...options })),
    flows: () => keep(new FlowProducer({ connection: connection() })),
    /** A worker that looks for work and for stalled jobs often. */
    worker: (name, processor, options) =>
      keep(new Worker(name, processor, { connection: connection(), drainDelay: 1, ...options })),
    /** The events of a queue, from now on. */
    events: async (name) => {
      const events = keep(new QueueEvents(name, { connection: connection() }));
      await events.waitUntilReady();
      return events;
    },
  };
}
