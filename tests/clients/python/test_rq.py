"""RQ: queues, retries, dependencies, schedules, and a worker process that is told to stop a job."""

import datetime
import os
import subprocess
import sys
import time

import pytest
import rq_tasks
from redis import Redis
from rq import Callback, Queue, Repeat, Retry, SimpleWorker, Worker
from rq.command import send_shutdown_command, send_stop_job_command
from rq.job import Job
from rq.registry import FailedJobRegistry, FinishedJobRegistry, ScheduledJobRegistry


@pytest.fixture
def redis():
    with Redis(port=int(os.environ["EAVE_RESP_PORT"])) as client:
        client.flushall()
        yield client


@pytest.fixture
def queue(redis):
    return Queue("jobs", connection=redis)


def until(condition):
    deadline = time.monotonic() + 120
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.01)
    return value


def work(queue, *others, **options):
    """Runs what is in the queues, until they are empty."""
    worker = SimpleWorker([queue, *others], connection=queue.connection)
    worker.work(burst=True, logging_level="WARNING", **options)


def notes(redis):
    return [note.decode() for note in redis.lrange("notes", 0, -1)]


def test_jobs_and_their_results(redis, queue):
    jobs = [queue.enqueue(rq_tasks.add, n, right=n, result_ttl=600) for n in range(20)]
    assert (len(queue), queue.job_ids[0]) == (20, jobs[0].id)
    assert jobs[0].get_status() == "queued"
    work(queue)
    assert [job.return_value() for job in jobs] == [n + n for n in range(20)]
    assert jobs[0].get_status(refresh=True) == "finished"
    assert len(FinishedJobRegistry(queue=queue)) == 20
    fetched = Job.fetch_many([jobs[1].id, "none"], connection=redis)
    assert (fetched[0].id, fetched[1]) == (jobs[1].id, None)
    assert jobs[2].latest_result().return_value == 4
    assert 0 < redis.ttl(jobs[0].key) <= 600
    jobs[0].delete()
    assert not Job.exists(jobs[0].id, connection=redis)


def test_failures_and_retries(redis, queue):
    bad = queue.enqueue(rq_tasks.fails, "ünï", on_failure=Callback(rq_tasks.failed))
    third = queue.enqueue(rq_tasks.at_the_third_try, retry=Retry(max=3))
    queue.enqueue(rq_tasks.add, 1, 2, on_success=Callback(rq_tasks.succeeded))
    work(queue)
    assert bad.get_status(refresh=True) == "failed"
    assert "ValueError: ünï" in bad.latest_result().exc_string
    assert third.return_value(refresh=True) == 3
    assert notes(redis) == ["failure ünï", "success 3"]
    registry = FailedJobRegistry(queue=queue)
    assert registry.get_job_ids() == [bad.id]
    registry.requeue(bad.id)
    assert (len(registry), queue.job_ids) == (0, [bad.id])
    bad.cancel()
    assert queue.job_ids == [] and bad.get_status(refresh=True) == "canceled"


def test_a_job_waits_for_others(redis, queue):
    first = [queue.enqueue(rq_tasks.note, f"first {n}") for n in range(2)]
    last = queue.enqueue(rq_tasks.note, "last", depends_on=first)
    assert last.get_status() == "deferred" and last.id not in queue.job_ids
    work(queue)
    assert notes(redis) == ["first 0", "first 1", "last"]
    broken = queue.enqueue(rq_tasks.fails, "broken")
    waits = queue.enqueue(rq_tasks.note, "never", depends_on=broken)
    work(queue)
    assert waits.get_status(refresh=True) == "deferred"
    assert notes(redis)[-1] == "last"


def test_order_of_queues_and_of_jobs(redis, queue):
    low = Queue("low", connection=redis)
    low.enqueue(rq_tasks.note, "low")
    queue.enqueue(rq_tasks.note, "one")
    queue.enqueue(rq_tasks.note, "at the front", at_front=True)
    many = [Queue.prepare_data(rq_tasks.note, [f"of many {n}"]) for n in range(3)]
    queue.enqueue_many(many)
    assert {found.name for found in Queue.all(connection=redis)} == {"jobs", "low"}
    work(queue, low)
    assert notes(redis) == ["at the front", "one", "of many 0", "of many 1", "of many 2", "low"]
    queue.enqueue(rq_tasks.note, "gone")
    assert queue.empty() == 1
    low.delete()
    assert len(queue) == 0


def test_jobs_for_later(redis, queue):
    soon = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=1)
    far = queue.enqueue_in(datetime.timedelta(hours=1), rq_tasks.note, "far")
    at = queue.enqueue_at(soon, rq_tasks.note, "soon")
    again = queue.enqueue(rq_tasks.note, "again", repeat=Repeat(times=1, interval=1))
    scheduled = ScheduledJobRegistry(queue=queue)
    assert set(scheduled.get_job_ids()) == {far.id, at.id}
    with rq_worker("--with-scheduler"):
        until(lambda: len(redis.lrange("notes", 0, -1)) >= 3)
    assert sorted(notes(redis)) == ["again", "again", "soon"]
    assert set(scheduled.get_job_ids()) == {far.id}
    assert again.get_status(refresh=True) in ("finished", "scheduled")


class rq_worker:
    """A worker process, as an operator starts it."""

    def __init__(self, *options):
        url = f"redis://127.0.0.1:{os.environ['EAVE_RESP_PORT']}"
        rq = os.path.join(os.path.dirname(sys.executable), "rq")
        command = [sys.executable, "-B", rq, "worker", "jobs", "--url", url, *options]
        environment = {**os.environ, "PYTHONPATH": os.path.dirname(__file__)}
        self.process = subprocess.Popen(command, env=environment)

    def __enter__(self):
        return self.process

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
        assert self.process.wait(120) == 0


def test_a_worker_process_is_told_to_stop_a_job_and_itself(redis, queue):
    endless = queue.enqueue(rq_tasks.never_ends, job_timeout=600)
    with rq_worker() as process:
        until(lambda: redis.exists("has begun"))
        (worker,) = Worker.all(connection=redis)
        assert (worker.get_current_job_id(), worker.get_state()) == (endless.id, "busy")
        send_stop_job_command(redis, endless.id)
        until(lambda: endless.get_status(refresh=True) == "stopped")
        job = queue.enqueue(rq_tasks.add, 20, 22)
        until(lambda: job.get_status(refresh=True) == "finished")
        assert job.return_value() == 42
        send_shutdown_command(redis, worker.name)
        assert process.wait(120) == 0
    assert Worker.count(connection=redis) == 0
