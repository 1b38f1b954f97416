"""redis-py: every method that it has for what Eave answers, over RESP2 and RESP3."""

import os
import threading

import pytest
import redis as redis_py
from conftest import FAR


@pytest.fixture(params=[2, 3], ids=["RESP2", "RESP3"])
def redis(request, resp_port):
    client = redis_py.Redis(port=resp_port, protocol=request.param, decode_responses=True)
    client.flushall()
    yield client
    client.close()


def test_connection(redis):
    assert redis.ping() is True
    assert redis.echo("hello") == "hello"
    assert redis.client_id() > 0
    assert redis.client_setname("tester") is True
    assert redis.client_getname() == "tester"
    assert redis.client_info()["name"] == "tester"
    assert any(client["name"] == "tester" for client in redis.client_list())
    seconds, micros = redis.time()
    assert seconds > 1.7e9 and micros < 1_000_000
    protocol = redis.connection_pool.connection_kwargs["protocol"]
    hello = redis.execute_command("HELLO", protocol)
    if protocol == 3:
        assert hello["proto"] == 3 and hello["role"] == "master"
    else:
        assert hello[hello.index("proto") + 1] == 2
    assert redis.execute_command("RESET") in ("RESET", True)


def test_another_database_is_another_keyspace(redis, resp_port):
    redis.set("k", 1)
    with redis_py.Redis(port=resp_port, db=1, decode_responses=True) as other:
        assert other.exists("k") == 0
        other.set("only-here", 1)
        assert other.dbsize() == 1
        assert redis.copy("k", "copied", destination_db=1) is True
        assert other.get("copied") == "1"
    assert redis.exists("only-here") == 0


def test_server(redis):
    assert "redis_version" in redis.info()
    assert "redis_version" in redis.info("server")
    assert redis.command_count() > 50
    assert "get" in redis.command()
    assert "get" in redis.command_list()
    assert redis.command_getkeys("MSET", "a", 1, "b", 2) == ["a", "b"]
    assert "maxmemory" in redis.config_get("maxmem*")
    assert redis.config_set("maxmemory", 0) is True
    redis.set("k", 1)
    assert redis.dbsize() == 1
    assert redis.flushdb() is True
    assert redis.flushall(asynchronous=True) is True
    assert redis.dbsize() == 0


def test_keys(redis):
    redis.mset({"a": 1, "b": 2, "c": 3})
    redis.hset("h", "f", "v")
    assert redis.exists("a", "a", "none") == 2
    assert redis.touch("a", "none") == 1
    assert redis.type("a") == "string"
    assert redis.type("h") == "hash"
    assert redis.type("none") == "none"
    assert sorted(redis.keys("[ab]")) == ["a", "b"]
    assert redis.randomkey() in {"a", "b", "c", "h"}
    assert redis.rename("a", "z") is True
    assert not redis.renamenx("b", "z")
    with pytest.raises(redis_py.ResponseError, match="no such key"):
        redis.rename("none", "x")
    assert redis.copy("z", "y") is True
    assert redis.copy("c", "y") is False
    assert redis.copy("c", "y", replace=True) is True
    assert redis.object("ENCODING", "y") == "int"
    assert redis.delete("y", "z", "none") == 2
    assert redis.unlink("b", "c") == 2


def test_expiry(redis):
    redis.set("k", "v")
    assert redis.ttl("k") == -1
    assert redis.ttl("none") == -2
    assert redis.expire("k", 100)
    assert 40 < redis.ttl("k") <= 100
    assert not redis.expire("k", 50, gt=True)
    assert not redis.expire("k", 50, nx=True)
    assert redis.expire("k", 50, lt=True)
    assert redis.pexpire("k", 100000)
    assert 40000 < redis.pttl("k") <= 100000
    assert redis.expireat("k", FAR)
    assert redis.expiretime("k") == FAR
    assert redis.pexpireat("k", FAR * 1000)
    assert redis.pexpiretime("k") == FAR * 1000
    assert redis.persist("k")
    assert redis.ttl("k") == -1
    assert redis.expireat("k", 1)
    assert redis.exists("k") == 0


def test_strings(redis):
    assert redis.set("k", "one") is True
    assert redis.set("k", "two", nx=True) is None
    assert redis.set("k", "two", xx=True, get=True) == "one"
    assert redis.set("k", "three", ex=100) is True
    assert redis.set("k", "four", keepttl=True) is True
    assert 40 < redis.ttl("k") <= 100
    assert redis.set("k", "five", pxat=FAR * 1000) is True
    assert redis.getset("k", "six") == "five"
    assert redis.getex("k", ex=100) == "six"
    assert redis.getex("k", persist=True) == "six"
    assert redis.ttl("k") == -1
    assert redis.append("k", "ty") == 5
    assert redis.strlen("k") == 5
    assert redis.getrange("k", 0, 2) == "six"
    assert redis.substr("k", -2, -1) == "ty"
    assert redis.setrange("k", 6, "!") == 7
    assert redis.getdel("k") == "sixty\0!"
    assert redis.get("k") is None
    assert redis.setnx("k", 1)
    assert redis.setex("k", 10, "v")
    assert redis.psetex("k", 10000, "v")
    redis.mset({"a": "ohmytext", "b": "mynewtext"})
    assert not redis.msetnx({"a": 1, "c": 1})
    assert redis.mget("a", "none") == ["ohmytext", None]
    assert redis.lcs("a", "b") == "mytext"
    assert redis.lcs("a", "b", len=True) == 6


def test_numbers(redis):
    assert redis.incr("n") == 1
    assert redis.incrby("n", 10) == 11
    assert redis.decr("n") == 10
    assert redis.decrby("n", 3) == 7
    assert redis.incrbyfloat("n", 0.5) == 7.5
    redis.set("n", 2**63 - 1)
    with pytest.raises(redis_py.ResponseError, match="increment or decrement would overflow"):
        redis.incr("n")
    with pytest.raises(redis_py.ResponseError, match="WRONGTYPE"):
        redis.hget("n", "f")


def test_hashes(redis):
    assert redis.hset("h", mapping={"a": 1, "b": 2}) == 2
    assert redis.execute_command("HMSET", "h", "c", 3) in (True, "OK")
    assert redis.hsetnx("h", "a", 9) == 0
    assert redis.hget("h", "a") == "1"
    assert redis.hmget("h", "a", "none") == ["1", None]
    assert redis.hgetall("h") == {"a": "1", "b": "2", "c": "3"}
    assert redis.hgetall("none") == {}
    assert sorted(redis.hkeys("h")) == ["a", "b", "c"]
    assert sorted(redis.hvals("h")) == ["1", "2", "3"]
    assert redis.hlen("h") == 3
    assert redis.hexists("h", "a")
    assert redis.hstrlen("h", "a") == 1
    assert redis.hincrby("h", "a", 5) == 6
    assert redis.hincrbyfloat("h", "a", 0.25) == 6.25
    assert redis.hrandfield("h") in {"a", "b", "c"}
    assert len(redis.hrandfield("h", -5)) == 5
    assert len(redis.hrandfield("h", 2, withvalues=True)) in (2, 4)
    assert redis.hdel("h", "a", "none") == 1


def test_iterators_meet_every_key_and_field(redis):
    wanted = {f"scan:{n}" for n in range(700)}
    redis.mset(dict.fromkeys(wanted, "x"))
    redis.set("other", 1)
    assert set(redis.scan_iter(match="scan:*", count=50)) == wanted
    redis.hset("h", mapping=dict.fromkeys(wanted, "x"))
    assert {field for field, _ in redis.hscan_iter("h", count=50)} == wanted
    assert list(redis.scan_iter(_type="hash", count=10000)) == ["h"]


def test_pipelines_and_transactions(redis):
    with redis.pipeline(transaction=False) as pipe:
        replies = pipe.set("a", 1).hget("a", "f").incr("a").execute(raise_on_error=False)
    assert (replies[0], replies[2]) == (True, 2)
    assert isinstance(replies[1], redis_py.ResponseError)
    with redis.pipeline() as pipe:
        assert pipe.incr("a").get("a").execute() == [3, "3"]
    with redis.pipeline() as pipe:
        pipe.incr("a").execute_command("NOSUCH")
        with pytest.raises(redis_py.ResponseError, match="unknown command"):
            pipe.execute()
    assert redis.get("a") == "3"


def test_a_watched_key_that_changed_stops_the_transaction(redis):
    with redis.pipeline() as pipe:
        pipe.watch("k")
        redis.set("k", "theirs")
        pipe.multi()
        pipe.set("k", "ours")
        with pytest.raises(redis_py.WatchError):
            pipe.execute()
        pipe.watch("k")
        pipe.unwatch()
        pipe.set("k", "ours")
        assert pipe.execute() == [True]

    def increment(pipe):
        value = int(pipe.get("n") or 0)
        pipe.multi()
        pipe.set("n", value + 1)

    assert redis.transaction(increment, "n") == [True]
    assert redis.get("n") == "1"


def test_concurrent_increments_are_all_counted(redis):
    def many():
        for _ in range(200):
            redis.incr("n")

    threads = [threading.Thread(target=many) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert redis.get("n") == "1600"


def test_binary_values(resp_port):
    with redis_py.Redis(port=resp_port) as redis:
        value = bytes(range(256)) * 100
        redis.set(b"binary\xff\x00", value)
        assert redis.get(b"binary\xff\x00") == value


@pytest.mark.skipif("EAVE_REST_URL" not in os.environ, reason="not an Eave server")
def test_the_limiter(redis):
    def fields(reply):
        if isinstance(reply, dict):
            return [reply["allowed"], reply["limit"], reply["remaining"]]
        return reply[:3]

    def take():
        return fields(redis.execute_command("RL.TAKE", "user:1", "2/60s"))

    assert [take(), take(), take()] == [[1, 2, 1], [1, 2, 0], [0, 2, 0]]
    assert redis.execute_command("RL.RESET", "user:1") == 1
    assert take() == [1, 2, 1]
