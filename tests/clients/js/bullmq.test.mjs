// BullMQ's workers: jobs completed, retried, delayed, in order of priority, side by side,
// limited in rate, paused, and taken over from a worker that died.

import assert from "node:assert/strict";
import { test } from "node:test";
import { DelayedError, UnrecoverableError, Worker } from "bullmq";
import { overBothClients } from "./bullmq-support.mjs";
import { until } from "./support.mjs";

const sorted = (values) => [...values].sort((left, right) => left - right);

overBothClients((bull) => {
  test("a worker completes jobs, and who waits for them gets their results", async () => {
    const queue = bull.queue("sums");
    const events = await bull.events("sums");
    bull.worker("sums", async (job) => job.data.left + job.data.right);
    const one = await queue.add("sum", { left: 1, right: 2 });
    assert.equal(await one.waitUntilFinished(events, 60_000), 3);
    const sums = Array.from({ length: 20 }, (_, n) => ({ name: "sum", data: { left: n, right: n } }));
    const many = await queue.addBulk(sums);
    const results = await Promise.all(many.map((job) => job.waitUntilFinished(events, 60_000)));
    assert.deepEqual(results, Array.from({ length: 20 }, (_, n) => n + n));
    const kept = await queue.getJob(one.id);
    assert.equal(await kept.getState(), "completed");
    assert.deepEqual([kept.returnvalue, kept.attemptsMade], [3, 1]);
    assert.equal(await queue.getCompletedCount(), 21);
  });

  test("progress, log lines and data of a job that is running", async () => {
    const queue = bull.queue("talking");
    const events = await bull.events("talking");
    const progress = [];
    events.on("progress", ({ data }) => progress.push(data));
    bull.worker("talking", async (job) => {
      await job.updateProgress(50);
      await job.updateProgress({ step: "two" });
      await job.log("first line");
      await job.log("second line: ünï");
      await job.updateData({ ...job.data, seen: true });
    });
    const job = await queue.add("talk", { text: "a\r\n\0 \u{1f600}" });
    await job.waitUntilFinished(events, 60_000);
    await until(() => progress.length === 2);
    assert.deepEqual(progress, [50, { step: "two" }]);
    const { logs, count } = await queue.getJobLogs(job.id);
    assert.deepEqual([logs, count], [["first line", "second line: ünï"], 2]);
    assert.deepEqual((await queue.getJob(job.id)).data, { text: "a\r\n\0 \u{1f600}", seen: true });
  });

  test("a job that fails is tried again, later each time, and at last has failed", async () => {
    const queue = bull.queue("failing");
    const events = await bull.events("failing");
    bull.worker("failing", async (job) => {
      if (job.name === "hopeless") throw new UnrecoverableError("no use");
      if (job.name === "never" || job.attemptsMade < 2) throw new Error(`try ${job.attemptsMade}`);
      return "at last";
    });
    const backoff = { type: "exponential", delay: 5 };
    const third = await queue.add("third", {}, { attempts: 3, backoff });
    assert.equal(await third.waitUntilFinished(events, 60_000), "at last");
    assert.equal((await queue.getJob(third.id)).attemptsMade, 3);
    const never = await queue.add("never", {}, { attempts: 2, backoff: 5 });
    await assert.rejects(never.waitUntilFinished(events, 60_000), /try 1/);
    const failed = await queue.getJob(never.id);
    assert.deepEqual([await failed.getState(), failed.failedReason], ["failed", "try 1"]);
    assert.equal(failed.stacktrace.length, 2);
    const hopeless = await queue.add("hopeless", {}, { attempts: 5 });
    await assert.rejects(hopeless.waitUntilFinished(events, 60_000), /no use/);
    assert.equal((await queue.getJob(hopeless.id)).attemptsMade, 1);
  });

  test("delayed jobs run when their time has come, or when they are promoted", async () => {
    const queue = bull.queue("later");
    const done = [];
    const far = await queue.add("far", {}, { delay: 3_600_000 });
    const moved = await queue.add("moved", {}, { delay: 3_600_000 });
    const soon = await queue.add("soon", {}, { delay: 200 });
    await queue.add("now", {});
    assert.deepEqual(await queue.getJobCounts("delayed", "wait"), { delayed: 3, wait: 1 });
    bull.worker("later", async (job) => done.push(job.name));
    await until(() => done.length === 2);
    assert.deepEqual(done, ["now", "soon"]);
    const ran = await queue.getJob(soon.id);
    assert.ok(ran.processedOn >= ran.timestamp + 200, `${ran.processedOn - ran.timestamp} ms`);
    await far.promote();
    await until(() => done.length === 3);
    await moved.changeDelay(1);
    await until(() => done.length === 4);
    assert.deepEqual(done, ["now", "soon", "far", "moved"]);
  });

  test("a job can put itself off until later", async () => {
    const queue = bull.queue("putting-off");
    const events = await bull.events("putting-off");
    bull.worker("putting-off", async (job, token) => {
      if (job.data.again) return "the second time";
      await job.updateData({ again: true });
      await job.moveToDelayed(Date.now() + 20, token);
      throw new DelayedError();
    });
    const job = await queue.add("put off", {});
    assert.equal(await job.waitUntilFinished(events, 60_000), "the second time");
  });

  test("the most urgent job first, the last in first out where that is wanted", async () => {
    const queue = bull.queue("urgent");
    for (const priority of [30, 10, 20, 10]) await queue.add(`p${priority}`, {}, { priority });
    await queue.add("plain", {});
    await queue.add("lifo", {}, { lifo: true });
    const slow = await queue.add("p40", {}, { priority: 40 });
    assert.deepEqual(await queue.getCountsPerPriority([0, 10, 20, 40]), { 0: 2, 10: 2, 20: 1, 40: 1 });
    await slow.changePriority({ priority: 5 });
    const done = [];
    bull.worker("urgent", async (job) => done.push(job.name));
    await until(() => done.length === 7);
    assert.deepEqual(done, ["lifo", "plain", "p40", "p10", "p10", "p20", "p30"]);
  });

  test("a worker runs as many jobs at once as it may", async () => {
    const queue = bull.queue("side-by-side");
    const events = await bull.events("side-by-side");
    let waiting = 0;
    // Each job ends only when all four have begun.
    const together = async () => {
      waiting += 1;
      await until(() => waiting >= 4);
    };
    bull.worker("side-by-side", together, { concurrency: 4 });
    const jobs = await queue.addBulk(Array.from({ length: 4 }, () => ({ name: "job", data: {} })));
    await Promise.all(jobs.map((job) => job.waitUntilFinished(events, 60_000)));
    assert.equal(waiting, 4);
  });

  test("a limit for all workers together", async () => {
    const queue = bull.queue("one-at-a-time");
    await queue.setGlobalConcurrency(1);
    assert.equal(await queue.getGlobalConcurrency(), 1);
    let [running, most, done] = [0, 0, 0];
    const alone = async () => {
      running += 1;
      most = Math.max(most, running);
      await new Promise((resolve) => setTimeout(resolve, 2));
      running -= 1;
      done += 1;
    };
    for (let n = 0; n < 3; n += 1) bull.worker("one-at-a-time", alone, { concurrency: 3 });
    await queue.addBulk(Array.from({ length: 15 }, () => ({ name: "job", data: {} })));
    await until(() => done === 15);
    assert.equal(most, 1);
  });

  test("several workers share a queue, and each job runs once", async () => {
    const queue = bull.queue("shared");
    const ran = [];
    for (let n = 0; n < 4; n += 1) {
      bull.worker("shared", async (job) => void ran.push(job.data.n), { concurrency: 5 });
    }
    const jobs = Array.from({ length: 300 }, (_, n) => ({ name: "job", data: { n } }));
    await Promise.all([0, 100, 200].map((at) => queue.addBulk(jobs.slice(at, at + 100))));
    await until(async () => (await queue.getCompletedCount()) === 300);
    assert.deepEqual(sorted(ran), jobs.map((job) => job.data.n));
  });

  test("a limit of jobs by time", async () => {
    const queue = bull.queue("limited");
    const limiter = { max: 2, duration: 300 };
    await queue.addBulk(Array.from({ length: 5 }, () => ({ name: "job", data: {} })));
    let waited = 0;
    bull.worker("limited", async () => {}, { limiter });
    await until(async () => {
      waited = Math.max(waited, await queue.getRateLimitTtl(2));
      return (await queue.getCompletedCount()) === 5;
    });
    assert.ok(waited > 0 && waited <= 300, `waited for up to ${waited} ms`);
  });

  test("a worker that is told to slow down puts its job back", async () => {
    const queue = bull.queue("told");
    const events = await bull.events("told");
    let refused = 0;
    const worker = bull.worker("told", async (job) => {
      if (refused === 0) {
        refused += 1;
        await worker.rateLimit(50);
        throw Worker.RateLimitError();
      }
      return job.data;
    });
    const job = await queue.add("job", "kept");
    assert.equal(await job.waitUntilFinished(events, 60_000), "kept");
    assert.equal((await queue.getJob(job.id)).attemptsMade, 1);
  });

  test("pausing a queue and a worker, and going on", async () => {
    const queue = bull.queue("paused");
    const done = [];
    const worker = bull.worker("paused", async (job) => done.push(job.name));
    await worker.waitUntilReady();
    await queue.pause();
    assert.equal(await queue.isPaused(), true);
    await queue.add("while paused", {});
    const counts = await queue.getJobCounts("paused", "waiting", "active");
    assert.equal(counts.paused + counts.waiting, 1, JSON.stringify(counts));
    assert.deepEqual(done, []);
    await queue.resume();
    await until(() => done.length === 1);
    await worker.pause();
    assert.equal(worker.isPaused(), true);
    await queue.add("worker paused", {});
    assert.equal(await queue.getWaitingCount(), 1);
    worker.resume();
    await until(() => done.length === 2);
    assert.deepEqual(done, ["while paused", "worker paused"]);
  });

  test("a job whose worker died goes to another worker", async () => {
    const queue = bull.queue("stalled");
    const events = await bull.events("stalled");
    const stalled = [];
    events.on("stalled", ({ jobId }) => stalled.push(jobId));
    const job = await queue.add("job", {});
    // It takes the job and never renews its lock.
    const dying = bull.worker("stalled", null, { lockDuration: 20, skipStalledCheck: true });
    assert.equal((await dying.getNextJob("dying")).id, job.id);
    const often = { stalledInterval: 50, lockDuration: 60_000 };
    bull.worker("stalled", async () => "the second worker's", often);
    assert.equal(await job.waitUntilFinished(events, 60_000), "the second worker's");
    await until(() => stalled.length === 1);
    assert.deepEqual(stalled, [job.id]);
  });

  test("a job that was lost too often has failed", async () => {
    const queue = bull.queue("lost");
    const job = await queue.add("job", {});
    const dying = bull.worker("lost", null, { lockDuration: 20, skipStalledCheck: true });
    await dying.getNextJob("dying");
    const limits = { stalledInterval: 50, maxStalledCount: 0 };
    bull.worker("lost", async () => "never", limits);
    await until(() => job.isFailed());
    assert.match((await queue.getJob(job.id)).failedReason, /stalled more than allowable limit/);
  });

  test("jobs fetched and finished by hand, their locks kept", async () => {
    const queue = bull.queue("by-hand");
    const worker = bull.worker("by-hand", null);
    await queue.add("first", {});
    await queue.add("second", {});
    const first = await worker.getNextJob("me");
    assert.deepEqual([first.name, await first.getState()], ["first", "active"]);
    assert.equal(await first.extendLock("me", 60_000), 1);
    await assert.rejects(first.moveToCompleted("theirs", "someone else", false), /[Ll]ock/);
    const [next] = await first.moveToCompleted("done", "me", true);
    assert.equal(next.name, "second");
    const second = await queue.getJob("2");
    await second.moveToFailed(new Error("by hand"), "me", false);
    assert.equal((await queue.getJob("2")).failedReason, "by hand");
    assert.deepEqual(await queue.getJobCounts("completed", "failed", "active"), {
      active: 0,
      completed: 1,
      failed: 1,
    });
    await second.retry();
    assert.equal((await worker.getNextJob("again")).name, "second");
  });

  test("a worker loses its connection and goes on", async () => {
    const queue = bull.queue("cut");
    const done = [];
    const worker = bull.worker("cut", async (job) => done.push(job.name));
    await worker.waitUntilReady();
    await queue.add("before", {});
    await until(() => done.length === 1);
    const workers = await queue.getWorkers();
    assert.equal(workers.length, 1);
    assert.equal(await bull.plain().client("KILL", "ID", workers[0].id), 1);
    await queue.add("after", {});
    await until(() => done.length === 2);
    assert.deepEqual(done, ["before", "after"]);
  });
});
