"""upstash-redis over REST: every method that it has for what Eave answers."""

import asyncio

import pytest
from conftest import FAR
from upstash_redis import Redis
from upstash_redis.asyncio import Redis as AsyncRedis
from upstash_redis.errors import UpstashError


@pytest.fixture(params=["base64", None], ids=["base64", "plain"])
def redis(request, rest):
    client = Redis(**rest, rest_encoding=request.param, rest_retries=0, allow_telemetry=False)
    client.flushall()
    return client


def test_connection_and_server(redis):
    assert redis.ping() == "PONG"
    assert redis.ping("hello") == "hello"
    assert redis.echo("hello") == "hello"
    seconds, micros = redis.time()
    assert seconds > 1.7e9 and micros < 1_000_000
    redis.set("k", 1)
    assert redis.dbsize() == 1
    assert redis.flushdb() is True
    assert redis.flushall("ASYNC") is True
    assert redis.dbsize() == 0


def test_values_come_back_as_they_were_sent(redis):
    for value in ["text", "OK", "", "8", "T0s=", "grün ✓", "a\nb"]:
        assert redis.set("k", value) is True
        assert redis.get("k") == value
        assert redis.mget("k", "k") == [value, value]
    redis.set("k", 1.5)
    assert redis.get("k") == "1.5"
    redis.set("k", {"a": [1, True]})
    assert redis.get("k") == '{"a": [1, true]}'


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
    assert redis.renamenx("b", "z") is False
    with pytest.raises(UpstashError, match="no such key"):
        redis.rename("none", "x")
    assert redis.copy("z", "y") is True
    assert redis.copy("c", "y") is False
    assert redis.copy("c", "y", replace=True) is True
    assert redis.delete("y", "z", "none") == 2
    assert redis.unlink("b", "c") == 2


def test_expiry(redis):
    redis.set("k", "v")
    assert redis.ttl("k") == -1
    assert redis.ttl("none") == -2
    assert redis.expire("k", 100) is True
    assert 40 < redis.ttl("k") <= 100
    assert redis.expire("k", 50, gt=True) is False
    assert redis.pexpire("k", 100000) is True
    assert 40000 < redis.pttl("k") <= 100000
    assert redis.expireat("k", FAR) is True
    assert redis.pexpireat("k", FAR * 1000) is True
    assert redis.persist("k") is True
    assert redis.ttl("k") == -1


def test_strings_and_numbers(redis):
    assert redis.set("k", "one") is True
    assert redis.set("k", "two", nx=True) is False
    assert redis.set("k", "two", xx=True, get=True) == "one"
    assert redis.set("k", "three", ex=100) is True
    assert redis.set("k", "four", keepttl=True) is True
    assert 40 < redis.ttl("k") <= 100
    assert redis.getset("k", "six") == "four"
    assert redis.getex("k", ex=100) == "six"
    assert redis.getex("k", persist=True) == "six"
    assert redis.append("k", "ty") == 5
    assert redis.strlen("k") == 5
    assert redis.getrange("k", -2, -1) == "ty"
    assert redis.substr("k", 0, 2) == "six"
    assert redis.setrange("k", 5, "!") == 6
    assert redis.getdel("k") == "sixty!"
    assert redis.get("k") is None
    assert redis.setnx("k", 1) is True
    assert redis.setex("k", 10, "v") is True
    assert redis.psetex("k", 10000, "v") is True
    assert redis.msetnx({"k": 1, "l": 1}) is False
    assert redis.incr("n") == 1
    assert redis.incrby("n", 10) == 11
    assert redis.decr("n") == 10
    assert redis.decrby("n", 3) == 7
    assert redis.incrbyfloat("n", 0.5) == 7.5
    with pytest.raises(UpstashError, match="value is not an integer or out of range"):
        redis.incr("n")


def test_hashes(redis):
    assert redis.hset("h", values={"a": 1, "b": 2}) == 2
    assert redis.hmset("h", {"c": 3}) is True
    assert redis.hsetnx("h", "a", 9) is False
    assert redis.hget("h", "a") == "1"
    assert redis.hmget("h", "a", "none") == ["1", None]
    assert redis.hgetall("h") == {"a": "1", "b": "2", "c": "3"}
    assert redis.hgetall("none") == {}
    assert sorted(redis.hkeys("h")) == ["a", "b", "c"]
    assert sorted(redis.hvals("h")) == ["1", "2", "3"]
    assert redis.hlen("h") == 3
    assert redis.hexists("h", "a") is True
    assert redis.hstrlen("h", "a") == 1
    assert redis.hincrby("h", "a", 5) == 6
    assert redis.hincrbyfloat("h", "a", 0.25) == 6.25
    assert redis.hrandfield("h") in {"a", "b", "c"}
    assert len(redis.hrandfield("h", 2)) == 2
    assert set(redis.hrandfield("h", 3, withvalues=True)) == {"a", "b", "c"}
    assert redis.hdel("h", "a", "none") == 1


def test_scans_meet_every_key_and_field(redis):
    wanted = {f"scan:{n}" for n in range(300)}
    redis.mset(dict.fromkeys(wanted, "x"))
    redis.hset("h", values=dict.fromkeys(wanted, "x"))
    met, cursor = set(), 0
    while True:
        cursor, keys = redis.scan(cursor, match="scan:*", count=50, type="string")
        met.update(keys)
        if cursor == 0:
            break
    assert met == wanted
    fields = set()
    while True:
        cursor, pairs = redis.hscan("h", cursor, count=50)
        fields.update(pairs)
        if cursor == 0:
            break
    assert fields == wanted


def test_pipelines_and_transactions(redis):
    assert redis.pipeline().set("a", 1).incr("a").get("a").exec() == [True, 2, "2"]
    assert redis.multi().set("a", 1).incr("a").get("a").exec() == [True, 2, "2"]
    for batch in (redis.pipeline(), redis.multi()):
        with pytest.raises(UpstashError, match="value is not an integer"):
            batch.set("a", "x").incr("a").get("a").exec()
    assert redis.get("a") == "x"


def test_the_sync_token_moves_with_every_write(redis):
    tokens = []
    for write in (
        lambda: redis.set("k", "same"),
        lambda: redis.set("k", "same"),
        lambda: redis.pipeline().set("k", "same").exec(),
        lambda: redis.multi().set("k", "same").exec(),
    ):
        write()
        tokens.append(redis._sync_token)
    assert all(tokens) and len(set(tokens)) == len(tokens), tokens


def test_a_wrong_token(rest):
    with pytest.raises(UpstashError, match="WRONGPASS"):
        Redis(url=rest["url"], token="wrong", rest_retries=0).get("k")


def test_asyncio(rest):
    async def main():
        async with AsyncRedis(**rest) as redis:
            await redis.flushall()
            sums = await asyncio.gather(*(redis.incr("n") for _ in range(50)))
            assert sorted(sums) == list(range(1, 51))
            assert await redis.multi().incr("n").get("n").exec() == [51, "51"]

    asyncio.run(main())


def test_the_limiter(redis):
    replies = [redis.execute(["RL.TAKE", "user:1", "1/60s"]) for _ in range(2)]
    assert [reply[0] for reply in replies] == [1, 0]
