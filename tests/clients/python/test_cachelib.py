"""cachelib's RedisCache, as Flask's sessions and caches use it."""

import pytest
from cachelib import RedisCache
from redis import Redis


@pytest.fixture
def redis(resp_port):
    with Redis(port=resp_port) as client:
        client.flushall()
        yield client


@pytest.fixture
def cache(redis):
    return RedisCache(redis, key_prefix="cache:", default_timeout=300)


def test_values_of_any_kind(cache, redis):
    for value in ("ünï", 42, -7, 1.5, True, None, b"\x00\xff", [1, {"a": (2, 3)}], {"k": {1, 2}}):
        assert cache.set("k", value)
        assert cache.get("k") == value
    assert cache.has("k") and not cache.has("none")
    assert cache.get("none") is None
    assert 0 < redis.ttl("cache:k") <= 300


def test_many_values_at_once(cache, redis):
    assert cache.set_many({"a": 1, "b": "two"}, timeout=60) == ["a", "b"]
    assert cache.get_many("a", "none", "b") == [1, None, "two"]
    assert cache.get_dict("a", "none") == {"a": 1, "none": None}
    assert 0 < redis.ttl("cache:b") <= 60
    assert cache.delete_many("a", "b") == ["a", "b"]


def test_what_is_added_once_and_counted(cache, redis):
    assert cache.add("once", 1, timeout=100) and not cache.add("once", 2)
    assert cache.get("once") == 1
    assert 0 < redis.ttl("cache:once") <= 100
    assert cache.set("for ever", "x", timeout=0)
    assert redis.ttl("cache:for ever") == -1
    assert [cache.inc("n"), cache.inc("n", 5), cache.dec("n", 2)] == [1, 6, 4]
    assert cache.delete("n") and not cache.delete("n")


def test_only_its_own_keys_are_cleared(cache, redis):
    redis.set("other", "kept")
    for n in range(50):
        cache.set(f"k{n}", n)
    assert cache.clear()
    assert redis.keys("*") == [b"other"]
