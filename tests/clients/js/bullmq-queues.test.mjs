// BullMQ's queues: schedulers, flows of parents and children, events, removal,
// deduplication, and what an operator asks.

import assert from "node:assert/strict";
import { test } from "node:test";
import { overBothClients } from "./bullmq-support.mjs";
import { until } from "./support.mjs";

const names = (jobs) => jobs.map((job) => job.name).sort();

overBothClients((bull) => {
  test("a schedule by milliseconds ends at its limit", async () => {
    const queue = bull.queue("every");
    const done = [];
    bull.worker("every", async (job) => done.push(job.data.from));
    const template = { name: "tick", data: { from: "the template" } };
    await queue.upsertJobScheduler("ticks", { every: 30, limit: 3 }, template);
    await until(() => done.length === 3);
    assert.deepEqual(done, Array(3).fill("the template"));
    await until(async () => (await queue.getJobCounts("delayed", "wait")).delayed === 0);
  });

  test("schedules are kept, changed, listed and removed", async () => {
    const queue = bull.queue("schedules");
    await queue.upsertJobScheduler("nightly", { pattern: "0 3 * * *" }, { name: "n", data: 1 });
    await queue.upsertJobScheduler("hourly", { every: 3_600_000 }, { name: "h" });
    await queue.upsertJobScheduler("nightly", { pattern: "30 4 * * *" }, { name: "n", data: 2 });
    assert.equal(await queue.getJobSchedulersCount(), 2);
    const nightly = await queue.getJobScheduler("nightly");
    assert.deepEqual([nightly.pattern, nightly.template.data], ["30 4 * * *", 2]);
    const keys = (await queue.getJobSchedulers()).map((found) => found.key).sort();
    assert.deepEqual(keys, ["hourly", "nightly"]);
    assert.equal(await queue.removeJobScheduler("nightly"), true);
    assert.equal(await queue.removeJobScheduler("nightly"), false);
    assert.equal(await queue.getJobSchedulersCount(), 1);
  });

  test("a parent waits for its children and reads their results", async () => {
    const queue = bull.queue("parents");
    const events = await bull.events("parents");
    const flow = await bull.flows().add({
      name: "sum",
      queueName: "parents",
      children: [1, 2, 3].map((n) => ({ name: "square", queueName: "children", data: { n } })),
    });
    assert.equal(await flow.job.getState(), "waiting-children");
    assert.deepEqual(await flow.job.getDependenciesCount(), {
      failed: 0,
      ignored: 0,
      processed: 0,
      unprocessed: 3,
    });
    bull.worker("children", async (job) => job.data.n ** 2);
    bull.worker("parents", async (job) => {
      const results = Object.values(await job.getChildrenValues());
      return results.reduce((sum, result) => sum + result, 0);
    });
    assert.equal(await flow.job.waitUntilFinished(events, 60_000), 14);
    const { processed } = await flow.job.getDependencies();
    assert.deepEqual(Object.values(processed).sort(), [1, 4, 9]);
    assert.equal(await queue.getWaitingChildrenCount(), 0);
  });

  test("a tree of three generations, read back and removed whole", async () => {
    bull.queue("tree");
    const leaf = { name: "leaf", queueName: "tree", data: { deep: true } };
    const branch = { name: "branch", queueName: "tree", children: [leaf, leaf] };
    const flows = bull.flows();
    const root = await flows.add({ name: "root", queueName: "tree", children: [branch, leaf] });
    const tree = await flows.getFlow({ id: root.job.id, queueName: "tree" });
    assert.deepEqual(names(tree.children.map((child) => child.job)), ["branch", "leaf"]);
    const found = tree.children.find((child) => child.job.name === "branch");
    assert.deepEqual(names(found.children.map((child) => child.job)), ["leaf", "leaf"]);
    await root.job.remove();
    const left = await bull.plain().keys("bull:tree:*");
    assert.deepEqual(left.sort(), ["events", "id", "marker", "meta"].map((end) => `bull:tree:${end}`));
  });

  test("what becomes of a parent whose child fails", async () => {
    bull.queue("family");
    const child = (name, opts) => ({ name, queueName: "fragile", opts });
    const flows = bull.flows();
    const strict = await flows.add({
      name: "strict",
      queueName: "family",
      children: [child("breaks", { failParentOnFailure: true })],
    });
    const lenient = await flows.add({
      name: "lenient",
      queueName: "family",
      children: [child("breaks", { ignoreDependencyOnFailure: true })],
    });
    const careless = await flows.add({
      name: "careless",
      queueName: "family",
      children: [child("breaks", { removeDependencyOnFailure: true }), child("holds", {})],
    });
    bull.worker("fragile", async (job) => {
      if (job.name === "breaks") throw new Error("broken");
      return "held";
    });
    bull.worker("family", async (job) => {
      if (job.name === "lenient") return Object.values(await job.getIgnoredChildrenFailures());
      return Object.values(await job.getChildrenValues());
    });
    await until(() => strict.job.isFailed());
    await until(() => lenient.job.isCompleted());
    await until(() => careless.job.isCompleted());
    const queue = bull.queue("family");
    assert.match((await queue.getJob(strict.job.id)).failedReason, /child .* failed/);
    assert.deepEqual((await queue.getJob(lenient.job.id)).returnvalue, ["broken"]);
    assert.deepEqual((await queue.getJob(careless.job.id)).returnvalue, ["held"]);
  });

  test("a stream tells every step of a job", async () => {
    const events = await bull.events("watched");
    const seen = [];
    for (const name of ["added", "waiting", "delayed", "active", "completed", "failed", "drained"]) {
      events.on(name, (told) => seen.push(told?.jobId ? `${name} ${told.jobId}` : name));
    }
    for (const name of ["paused", "resumed", "removed", "cleaned"]) {
      events.on(name, () => seen.push(name));
    }
    const queue = bull.queue("watched");
    await queue.pause();
    await queue.resume();
    await queue.add("good", {}, { jobId: "good" });
    bull.worker("watched", async (job) => {
      if (job.name === "bad") throw new Error("bad");
    });
    await until(() => seen.includes("completed good"));
    await queue.add("bad", {}, { jobId: "bad", delay: 1 });
    await until(() => seen.includes("failed bad"));
    await queue.remove("good");
    await until(() => seen.includes("removed"));
    const of = (name) => seen.filter((step) => step.endsWith(` ${name}`));
    assert.deepEqual(of("good"), ["added good", "waiting good", "active good", "completed good"]);
    assert.deepEqual(of("bad"), ["added bad", "delayed bad", "waiting bad", "active bad", "failed bad"]);
    assert.deepEqual(seen.slice(0, 2), ["paused", "resumed"]);
    // BullMQ trims about that many, which leaves a short stream whole.
    assert.equal(await queue.trimEvents(2), 0);
  });

  test("the same job is not added twice", async () => {
    const queue = bull.queue("once");
    const first = await queue.add("job", { n: 1 }, { jobId: "mine" });
    const again = await queue.add("job", { n: 2 }, { jobId: "mine" });
    assert.equal(again.id, first.id);
    assert.deepEqual((await queue.getJob("mine")).data, { n: 1 });
    const deduplication = { id: "topic", ttl: 3_600_000 };
    const kept = await queue.add("job", {}, { deduplication });
    const dropped = await queue.add("job", {}, { deduplication });
    assert.equal(dropped.id, kept.id);
    assert.equal(await queue.getDeduplicationJobId("topic"), kept.id);
    assert.equal(await queue.removeDeduplicationKey("topic"), 1);
    assert.notEqual((await queue.add("job", {}, { deduplication })).id, kept.id);
    assert.equal(await queue.getWaitingCount(), 3);
  });

  test("finished jobs are kept as many as wanted", async () => {
    const queue = bull.queue("kept");
    let ran = 0;
    bull.worker("kept", async () => void (ran += 1), { removeOnComplete: { count: 3 } });
    await queue.addBulk(Array.from({ length: 10 }, () => ({ name: "job", data: {} })));
    await until(async () => ran === 10 && (await queue.getActiveCount()) === 0);
    assert.equal(await queue.getCompletedCount(), 3);
    await queue.add("gone", {}, { removeOnComplete: true, jobId: "gone" });
    await until(async () => ran === 11 && !(await queue.getJob("gone")));
    assert.equal(await queue.getCompletedCount(), 3);
  });

  test("jobs are removed one by one, cleaned, drained and wiped out", async () => {
    const queue = bull.queue("removal");
    const add = (name, options) => queue.add(name, {}, options);
    const [plain] = [await add("plain"), await add("plain"), await add("plain")];
    await add("delayed", { delay: 3_600_000 });
    await add("urgent", { priority: 1 });
    assert.equal(await queue.remove(plain.id), 1);
    assert.equal(await queue.remove("nobody"), 1);
    assert.equal(await queue.getJob(plain.id), undefined);
    const cleaned = await queue.clean(0, 1, "wait");
    assert.deepEqual([cleaned.length, await queue.getWaitingCount()], [1, 1]);
    await queue.drain();
    assert.deepEqual(await queue.getJobCounts("wait", "prioritized", "delayed"), {
      delayed: 1,
      prioritized: 0,
      wait: 0,
    });
    await queue.drain(true);
    assert.equal(await queue.getDelayedCount(), 0);
    await add("last");
    const worker = bull.worker("removal", null);
    await worker.getNextJob("me");
    await queue.pause();
    await assert.rejects(queue.obliterate(), /active jobs/);
    await queue.obliterate({ force: true });
    assert.deepEqual(await bull.plain().keys("bull:removal:*"), []);
  });

  test("many failed jobs are tried again, many delayed ones promoted", async () => {
    const queue = bull.queue("crowds");
    let broken = true;
    bull.worker("crowds", async () => {
      if (broken) throw new Error("broken");
    }, { concurrency: 10 });
    await queue.addBulk(Array.from({ length: 40 }, () => ({ name: "job", data: {} })));
    await until(async () => (await queue.getFailedCount()) === 40);
    broken = false;
    await queue.retryJobs({ count: 15 });
    await until(async () => (await queue.getCompletedCount()) === 40);
    const delayed = { name: "job", data: {}, opts: { delay: 3_600_000 } };
    await queue.addBulk(Array(25).fill(delayed));
    await queue.promoteJobs({ count: 10 });
    await until(async () => (await queue.getCompletedCount()) === 65);
  });

  test("what an operator asks", async () => {
    const queue = bull.queue("asked");
    await bull.events("asked");
    const worker = bull.worker("asked", async () => "done", {
      metrics: { maxDataPoints: 10 },
      name: "the-worker",
    });
    await worker.waitUntilReady();
    await queue.addBulk(["a", "b", "c"].map((name) => ({ name, data: {} })));
    await until(async () => (await queue.getCompletedCount()) === 3);
    assert.deepEqual(names(await queue.getJobs(["completed"], 0, 10)), ["a", "b", "c"]);
    assert.deepEqual(names(await queue.getCompleted(0, 1)).length, 2);
    assert.equal(await queue.getJobCountByTypes("completed", "failed"), 3);
    assert.equal((await queue.getMetrics("completed")).meta.count, 3);
    assert.match(await queue.exportPrometheusMetrics(), /bullmq_job_count\{.*completed.*\} 3/);
    assert.equal(await queue.getWorkersCount(), 1);
    assert.equal((await queue.getWorkers())[0].name, "asked");
    assert.equal((await queue.getQueueEvents()).length, 1);
    assert.match(await queue.getVersion(), /^bullmq:/);
    assert.equal((await queue.getMeta()).version, await queue.getVersion());
    assert.equal(await queue.removeOrphanedJobs(), 0);
  });
});
