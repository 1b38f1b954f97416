"""Celery: a worker process with the server as its broker and its result backend."""

import datetime
import os
import subprocess
import sys
import time

import pytest
from celery import chain, chord, group
from celery.exceptions import TaskRevokedError
from redis import Redis

LONG = 120


@pytest.fixture(scope="module")
def tasks():
    import celery_tasks

    return celery_tasks


@pytest.fixture(scope="module")
def redis():
    with Redis(port=int(os.environ["EAVE_RESP_PORT"]), decode_responses=True) as client:
        yield client


@pytest.fixture(scope="module", autouse=True)
def worker(tasks, redis):
    redis.flushall()
    options = ["--concurrency", "2", "--queues", "main,other", "--loglevel", "info"]
    command = [sys.executable, "-B", "-m", "celery", "--app", "celery_tasks", "worker", *options]
    # It says what it does in the log of the test.
    process = subprocess.Popen(command, cwd=os.path.dirname(__file__))
    until(lambda: tasks.app.control.ping(timeout=1, limit=1))
    yield process
    process.terminate()
    assert process.wait(LONG) == 0


def until(condition):
    deadline = time.monotonic() + LONG
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.01)
    return value


def test_a_task_and_its_result(tasks, redis):
    result = tasks.add.delay(2, 3)
    assert result.get(timeout=LONG) == 5
    assert (result.state, result.name, result.args) == ("SUCCESS", "celery_tasks.add", [2, 3])
    with Redis(port=int(os.environ["EAVE_RESP_PORT"]), db=1) as results:
        assert 0 < results.ttl(f"celery-task-meta-{result.id}") <= 3600
    result.forget()
    assert tasks.app.AsyncResult(result.id).state == "PENDING"


def test_many_tasks(tasks):
    results = [tasks.add.delay(n, n) for n in range(100)]
    assert [result.get(timeout=LONG) for result in results] == [n + n for n in range(100)]


def test_failures_and_retries(tasks):
    failed = tasks.fails.delay("ünï")
    with pytest.raises(ValueError, match="ünï"):
        failed.get(timeout=LONG)
    assert failed.state == "FAILURE" and "ValueError" in failed.traceback
    assert tasks.at_the_third_try.delay().get(timeout=LONG) == 2
    with pytest.raises(ValueError, match="try 2"):
        tasks.never.delay().get(timeout=LONG)


def test_later(tasks):
    soon = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=0.5)
    result = tasks.add.apply_async((1, 2), eta=soon)
    assert result.get(timeout=LONG) == 3
    finished = result.date_done
    if isinstance(finished, str):
        finished = datetime.datetime.fromisoformat(finished)
    if finished.tzinfo is None:
        finished = finished.replace(tzinfo=datetime.timezone.utc)
    assert finished >= soon
    assert tasks.add.apply_async((2, 2), countdown=0.1).get(timeout=LONG) == 4


def test_groups_chains_and_chords(tasks):
    assert group(tasks.add.s(n, 1) for n in range(10))().get(timeout=LONG) == list(range(1, 11))
    assert chain(tasks.add.s(1, 2), tasks.add.s(3), tasks.add.s(4))().get(timeout=LONG) == 10
    assert chord(tasks.add.s(n, n) for n in range(10))(tasks.total.s()).get(timeout=LONG) == 90
    both = chain(group(tasks.add.s(n, 0) for n in range(4)), tasks.total.s(), tasks.add.s(100))
    assert both().get(timeout=LONG) == 106
    failing = chord([tasks.add.s(1, 1), tasks.fails.s("in a chord")])(tasks.total.s())
    with pytest.raises(Exception, match="in a chord"):
        failing.get(timeout=LONG)
    assert tasks.total.map([[1, 2], [3]]).delay().get(timeout=LONG) == [3, 3]


def test_routes_and_priorities(tasks):
    assert tasks.routed.delay("a").get(timeout=LONG) == ["a", "other"]
    results = [tasks.add.apply_async((n, 0), priority=n) for n in range(10)]
    assert [result.get(timeout=LONG) for result in results] == list(range(10))


def test_a_task_tells_its_progress(tasks, redis):
    result = tasks.tells_its_progress.delay("go on")
    until(lambda: result.state == "PROGRESS")
    assert result.info == {"done": 1, "of": 2}
    with Redis(port=int(os.environ["EAVE_RESP_PORT"]), db=1) as results:
        results.set("go on", 1)
    assert result.get(timeout=LONG) == "finished"


def test_the_worker_is_asked_and_told(tasks):
    inspect = tasks.app.control.inspect(timeout=60, limit=1)
    (name,) = inspect.ping()
    assert "celery_tasks.add" in inspect.registered()[name]
    assert {queue["name"] for queue in inspect.active_queues()[name]} == {"main", "other"}
    far = tasks.add.apply_async((1, 1), countdown=3600)
    until(lambda: any(inspect.scheduled()[name]))
    tasks.app.control.revoke(far.id)
    until(lambda: far.id in inspect.revoked()[name])
    near = tasks.add.apply_async((1, 1), countdown=1)
    near.revoke()
    with pytest.raises(TaskRevokedError):
        near.get(timeout=LONG)
    (reply,) = tasks.app.control.rate_limit("celery_tasks.add", "1000/s", reply=True, timeout=60, limit=1)
    assert "ok" in reply[name]


def test_a_queue_without_a_worker_keeps_its_tasks(tasks, redis):
    kept = [tasks.add.apply_async((n, n), queue="nobody") for n in range(5)]
    assert redis.llen("nobody") == 5
    with tasks.app.connection_for_read() as connection:
        channel = connection.default_channel
        assert channel.queue_declare("nobody", passive=True).message_count == 5
        assert channel.queue_purge("nobody") == 5
    assert kept[0].state == "PENDING"
    assert redis.exists("nobody") == 0
