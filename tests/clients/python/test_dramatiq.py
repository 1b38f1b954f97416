"""Dramatiq: every step of its queues is one large script; results, limits and barriers too."""

import os
import time

import dramatiq
import pytest
from dramatiq import group, pipeline
from dramatiq.brokers.redis import RedisBroker
from dramatiq.rate_limits import Barrier, BucketRateLimiter, ConcurrentRateLimiter
from dramatiq.rate_limits import RateLimitExceeded, WindowRateLimiter
from dramatiq.rate_limits.backends import RedisBackend as LimitBackend
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend as ResultBackend
from dramatiq.results.errors import ResultFailure
from redis import Redis

LONG = 120_000


@pytest.fixture
def redis():
    with Redis(port=int(os.environ["EAVE_RESP_PORT"])) as client:
        client.flushall()
        client.script_flush()
        yield client


@pytest.fixture
def broker(redis):
    broker = RedisBroker(client=redis, maintenance_chance=1_000_000, heartbeat_timeout=1_000)
    broker.add_middleware(Results(backend=ResultBackend(client=redis)))
    dramatiq.set_broker(broker)
    yield broker
    broker.close()


@pytest.fixture
def start(broker):
    """Starts a worker, once the actors are declared."""
    workers = []

    def start():
        workers.append(dramatiq.Worker(broker, worker_threads=4, worker_timeout=100))
        workers[-1].start()

    yield start
    for worker in workers:
        worker.stop()


def until(condition):
    deadline = time.monotonic() + 120
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.01)
    return value


def test_messages_and_their_results(broker, start):
    @dramatiq.actor(store_results=True)
    def add(left, right):
        return left + right

    messages = [add.send(n, n) for n in range(50)]
    start()
    results = [message.get_result(block=True, timeout=LONG) for message in messages]
    assert results == [n + n for n in range(50)]
    broker.join(add.queue_name, timeout=LONG)
    assert messages[0].get_result() == 0


def test_failures_retries_and_dead_letters(broker, redis, start):
    @dramatiq.actor(store_results=True, max_retries=5, min_backoff=1, max_backoff=2)
    def at_the_third_try():
        if redis.incr("tries") < 3:
            raise ValueError("not yet")
        return "at last"

    @dramatiq.actor(store_results=True, max_retries=0)
    def fails():
        raise ValueError("for good")

    message, failing = at_the_third_try.send(), fails.send()
    start()
    assert message.get_result(block=True, timeout=LONG) == "at last"
    with pytest.raises(ResultFailure, match="for good"):
        failing.get_result(block=True, timeout=LONG)
    until(lambda: redis.zcard("dramatiq:default.XQ") == 1)
    assert redis.get("tries") == b"3"


def test_later_groups_and_pipelines(start):
    @dramatiq.actor(store_results=True)
    def add(left, right):
        return left + right

    late = add.send_with_options(args=(1, 2), delay=50)
    many = group([add.message(n, 1) for n in range(10)]).run()
    line = pipeline([add.message(1, 2), add.message(3), add.message(4)]).run()
    start()
    assert late.get_result(block=True, timeout=LONG) == 3
    assert list(many.get_results(block=True, timeout=LONG)) == list(range(1, 11))
    assert line.get_result(block=True, timeout=LONG) == 10


def test_a_group_calls_back_when_it_is_done(broker, redis, start):
    from dramatiq.middleware import GroupCallbacks

    broker.add_middleware(GroupCallbacks(LimitBackend(client=redis)))

    @dramatiq.actor
    def note(what):
        redis.rpush("notes", what)

    notes = group([note.message("one"), note.message("two")])
    notes.add_completion_callback(note.message("done"))
    notes.run()
    start()
    until(lambda: redis.llen("notes") == 3)
    assert redis.lindex("notes", -1) == b"done"


def test_messages_of_a_worker_that_died_come_back(broker, redis, start):
    @dramatiq.actor(store_results=True, queue_name="lost")
    def answer():
        return 42

    message = answer.send()
    dead = RedisBroker(client=redis)
    dead.declare_queue("lost")
    (taken,) = dead.do_fetch("lost", 1)
    assert message.message_id.encode() in taken
    # Its heartbeat is long ago.
    for key in redis.keys("dramatiq:__heartbeats__"):
        redis.zadd(key, {member: 0 for member in redis.zrange(key, 0, -1)})
    start()
    assert message.get_result(block=True, timeout=LONG) == 42


def test_queues_are_emptied(broker, redis):
    @dramatiq.actor(queue_name="full")
    def never():
        pass

    for _ in range(10):
        never.send()
    assert redis.llen("dramatiq:full") == 10
    assert broker.do_qsize("full") == 10
    broker.flush("full")
    assert broker.do_qsize("full") == 0
    assert redis.exists("dramatiq:full", "dramatiq:full.msgs") == 0


def test_limits(redis):
    backend = LimitBackend(client=redis)
    two = ConcurrentRateLimiter(backend, "two at once", limit=2, ttl=LONG)
    with two.acquire(), two.acquire():
        with pytest.raises(RateLimitExceeded), two.acquire():
            pass
        with two.acquire(raise_on_failure=False) as acquired:
            assert not acquired
    with two.acquire() as acquired:
        assert acquired
    bucket = BucketRateLimiter(backend, "bucket", limit=3, bucket=LONG)
    taken = []
    for _ in range(4):
        with bucket.acquire(raise_on_failure=False) as acquired:
            taken.append(acquired)
    assert sum(map(bool, taken)) in (3, 4), "a bucket may end in between"
    window = WindowRateLimiter(backend, "window", limit=3, window=120)
    taken = []
    for _ in range(5):
        with window.acquire(raise_on_failure=False) as acquired:
            taken.append(bool(acquired))
    assert taken == [True, True, True, False, False]
    barrier = Barrier(backend, "barrier", ttl=LONG)
    assert barrier.create(parties=2) and not barrier.create(parties=2)
    assert [barrier.wait(block=False), barrier.wait(block=False)] == [False, True]
