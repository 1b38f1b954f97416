"""redis-py's client-side cache: reads are kept, and dropped when another client writes."""

import time

import pytest
import redis
from redis.cache import CacheConfig
from redis.connection import CacheProxyConnection


@pytest.fixture
def cached(resp_port, monkeypatch):
    # redis-py wants Redis 7.4 for this; Eave says 7.0, which has all that it uses.
    monkeypatch.setattr(CacheProxyConnection, "MIN_ALLOWED_VERSION", "7.0.0")
    client = redis.Redis(
        port=resp_port,
        protocol=3,
        decode_responses=True,
        cache_config=CacheConfig(max_size=100),
        single_connection_client=True,
    )
    client.flushall()
    yield client
    client.close()


@pytest.fixture
def other(resp_port):
    with redis.Redis(port=resp_port, decode_responses=True) as client:
        yield client


def until(read, wanted):
    """What a client keeps may be old for a moment."""
    end = time.monotonic() + 10
    while read() != wanted:
        assert time.monotonic() < end, f"{read()!r} stays, {wanted!r} was written"


def test_a_read_is_kept(cached, other):
    other.set("k", "1")
    assert cached.get("k") == "1"
    asked = other.info("stats")["keyspace_hits"]
    for _ in range(10):
        assert cached.get("k") == "1"
    assert other.info("stats")["keyspace_hits"] == asked
    assert cached.get_cache().size == 1


def test_a_write_of_another_client_drops_it(cached, other):
    other.mset({"a": "1", "b": "1"})
    assert cached.mget("a", "b") == ["1", "1"]
    other.set("b", "2")
    until(lambda: cached.mget("a", "b"), ["1", "2"])
    other.delete("a")
    until(lambda: cached.mget("a", "b"), [None, "2"])


def test_its_own_write_drops_it(cached):
    cached.hset("h", mapping={"a": "1"})
    assert cached.hgetall("h") == {"a": "1"}
    cached.hset("h", "a", "2")
    assert cached.hgetall("h") == {"a": "2"}


def test_expiry_drops_it(cached, other):
    other.set("k", "1", px=100)
    assert cached.get("k") == "1"
    until(lambda: cached.get("k"), None)


def test_flush_drops_everything(cached, other):
    other.mset({"a": "1", "b": "1"})
    assert (cached.get("a"), cached.get("b")) == ("1", "1")
    other.flushdb()
    until(lambda: cached.get("a"), None)
    assert cached.get("b") is None


def test_a_transaction_drops_what_it_writes(cached, other):
    other.mset({"a": "1", "b": "1"})
    assert (cached.get("a"), cached.get("b")) == ("1", "1")
    with other.pipeline(transaction=True) as pipe:
        pipe.set("a", "2").set("b", "2").execute()
    until(lambda: cached.get("a"), "2")
    assert cached.get("b") == "2"


def test_tracking_by_hand(resp_port, other):
    with redis.Redis(port=resp_port, protocol=3, single_connection_client=True) as client:
        assert client.client_tracking_on(bcast=True, prefix=["user:"])
        info = client.client_trackinginfo()
        assert info[b"prefixes"] == [b"user:"]
        assert client.client_getredir() == 0
        assert client.client_tracking_off()
