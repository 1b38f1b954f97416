"""limits on Eave as its Redis: its strategies, over redis-py."""

import time

import pytest
from limits import RateLimitItemPerHour, RateLimitItemPerSecond, parse
from limits.storage import RedisStorage, storage_from_string
from limits.strategies import (
    FixedWindowRateLimiter,
    MovingWindowRateLimiter,
    SlidingWindowCounterRateLimiter,
)

STRATEGIES = [FixedWindowRateLimiter, MovingWindowRateLimiter, SlidingWindowCounterRateLimiter]


@pytest.fixture
def storage(resp_port):
    storage = storage_from_string(f"redis://127.0.0.1:{resp_port}")
    assert isinstance(storage, RedisStorage)
    assert storage.check()
    storage.storage.flushall()
    return storage


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_hits_are_counted_until_there_are_too_many(storage, strategy):
    started = time.time()
    limiter, limit = strategy(storage), RateLimitItemPerHour(3)
    assert limiter.test(limit, "app", "user")
    assert [limiter.hit(limit, "app", "user") for _ in range(4)] == [True, True, True, False]
    assert not limiter.test(limit, "app", "user")
    assert limiter.hit(limit, "app", "other")
    stats = limiter.get_window_stats(limit, "app", "user")
    assert stats.remaining == 0
    # The sliding window may say that it is over at once.
    assert started <= stats.reset_time <= time.time() + 2 * 3600


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_hit_may_cost_more(storage, strategy):
    limiter, limit = strategy(storage), RateLimitItemPerHour(10)
    assert limiter.hit(limit, "user", cost=7)
    assert not limiter.test(limit, "user", cost=4)
    assert limiter.get_window_stats(limit, "user").remaining == 3
    assert limiter.hit(limit, "user", cost=3)
    assert not limiter.hit(limit, "user")


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_limit_is_forgotten(storage, strategy):
    limiter, limit = strategy(storage), RateLimitItemPerHour(1)
    limiter.hit(limit, "user")
    assert not limiter.hit(limit, "user")
    limiter.clear(limit, "user")
    assert limiter.hit(limit, "user")


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_window_ends(storage, strategy):
    limiter, limit = strategy(storage), RateLimitItemPerSecond(1)
    assert limiter.hit(limit, "user")
    deadline = time.time() + 60
    while not limiter.hit(limit, "user"):
        assert time.time() < deadline
        time.sleep(0.02)


def test_limits_in_words_and_all_of_them_at_once(storage):
    limiter = MovingWindowRateLimiter(storage)
    for text in ["5 per hour", "2/minute"]:
        limiter.hit(parse(text), "user")
    assert limiter.get_window_stats(parse("5 per hour"), "user").remaining == 4
    assert limiter.get_window_stats(parse("2/minute"), "user").remaining == 1
    storage.reset()
    assert limiter.get_window_stats(parse("5 per hour"), "user").remaining == 5
