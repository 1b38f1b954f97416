"""upstash-ratelimit over REST: its algorithms, and its scripts run natively and by Lua."""

import asyncio
import random
import time

import pytest
import redis as redis_py
from upstash_ratelimit import FixedWindow, Ratelimit, SlidingWindow, TokenBucket
from upstash_ratelimit.asyncio import Ratelimit as AsyncRatelimit
from upstash_ratelimit.limiter import FixedWindow as Fixed
from upstash_ratelimit.limiter import SlidingWindow as Sliding
from upstash_ratelimit.limiter import TokenBucket as Bucket
from upstash_redis import Redis
from upstash_redis.asyncio import Redis as AsyncRedis
from upstash_redis.errors import UpstashError

DAY_MS = 86_400_000


@pytest.fixture
def redis(rest):
    client = Redis(**rest, rest_retries=0, allow_telemetry=False)
    client.flushall()
    return client


def verdicts(limit, rates, who="someone"):
    responses = [limit.limit(who, rate=rate) for rate in rates]
    return [(response.allowed, response.remaining) for response in responses]


def test_a_fixed_window(redis):
    limit = Ratelimit(redis, FixedWindow(max_requests=3, window=30, unit="d"))
    assert verdicts(limit, [1, 1, 1, 1]) == [(True, 2), (True, 1), (True, 0), (False, 0)]
    assert limit.get_remaining("someone") == 0
    window = int(time.time() * 1000) // (30 * DAY_MS)
    assert limit.get_reset("someone") == (window + 1) * 30 * DAY_MS / 1000
    key = f"@upstash/ratelimit:someone:{window}"
    assert redis.get(key) == "4"
    assert 30 * DAY_MS - 60_000 < redis.pttl(key) <= 30 * DAY_MS
    assert limit.limit("other").limit == 3


def test_a_sliding_window(redis):
    limit = Ratelimit(redis, SlidingWindow(max_requests=3, window=30, unit="d"), prefix="app")
    assert verdicts(limit, [2, 1, 1, 1]) == [(True, 1), (True, 0), (False, 0), (False, 0)]
    assert limit.get_remaining("someone") == 0
    window = int(time.time() * 1000) // (30 * DAY_MS)
    assert redis.get(f"app:someone:{window}") == "3"
    redis.set(f"app:other:{window - 1}", 3_000_000)
    assert limit.limit("other").allowed is False
    assert limit.get_reset("other") == (window + 1) * 30 * DAY_MS / 1000


def test_a_token_bucket(redis):
    bucket = TokenBucket(max_tokens=5, refill_rate=1, interval=30, unit="d")
    limit = Ratelimit(redis, bucket)
    assert verdicts(limit, [2, 2, 2, 1, 1]) == [
        (True, 3),
        (True, 1),
        (False, 0),
        (True, 0),
        (False, 0),
    ]
    assert limit.get_remaining("someone") == 0
    fields = redis.hgetall("@upstash/ratelimit:someone")
    assert sorted(fields) == ["refilled_at", "tokens"]
    assert limit.get_reset("someone") == (int(fields["refilled_at"]) + 30 * DAY_MS) / 1000


def test_who_waits_gets_through(redis):
    for limiter in [
        FixedWindow(max_requests=1, window=500, unit="ms"),
        TokenBucket(max_tokens=1, refill_rate=1, interval=500, unit="ms"),
    ]:
        limit = Ratelimit(redis, limiter, prefix=type(limiter).__name__)
        limit.limit("someone")
        assert limit.block_until_ready("someone", 20).allowed is True
    slow = Ratelimit(redis, FixedWindow(max_requests=1, window=30, unit="d"), prefix="slow")
    slow.limit("someone")
    assert slow.block_until_ready("someone", 0.05).allowed is False


def test_a_key_that_holds_something_else(redis):
    redis.set("@upstash/ratelimit:someone", "text")
    limit = Ratelimit(redis, TokenBucket(max_tokens=1, refill_rate=1, interval=1))
    with pytest.raises(UpstashError, match="WRONGTYPE"):
        limit.limit("someone")


def test_asyncio(rest, redis):
    async def run():
        client = AsyncRedis(**rest, rest_retries=0, allow_telemetry=False)
        async with client:
            for limiter in [
                FixedWindow(max_requests=20, window=30, unit="d"),
                SlidingWindow(max_requests=20, window=30, unit="d"),
                TokenBucket(max_tokens=20, refill_rate=1, interval=30, unit="d"),
            ]:
                limit = AsyncRatelimit(client, limiter, prefix=type(limiter).__name__)
                responses = await asyncio.gather(*(limit.limit("someone") for _ in range(30)))
                assert sum(response.allowed for response in responses) == 20
                assert await limit.get_remaining("someone") == 0
                assert await limit.get_reset("someone") > time.time()
                assert (await limit.block_until_ready("other", 5)).allowed is True

    asyncio.run(run())


NOW = 1795210140547
WINDOWS = [b"3600000", b"86400000", b"604800000"]
ODD = [b"", b"abc", b"-1", b"0", b"1.5", b"1e3", b"0x10", b"nan", b"inf", b" 5", b"-0", b"007"]
ODD += [b"9007199254740993", b"9223372036854775807", b"9223372036854775808", b"1125899906842625"]
ODD_WINDOWS = [b"", b"abc", b"0", b"-1", b"3600000.5", b"36e5", b" 3600000", b"9223372036854775807"]


def cases(kind, hostile, seed):
    """Keys as they are found, and calls one after the other: what is sent, in pieces."""
    draw = random.Random(seed)

    def odd():
        return hostile and draw.randrange(6) == 0

    for number in range(150):
        keys = [f"{kind}:{number}:{at}".encode() for at in range(2 if kind == "sliding" else 1)]
        window = draw.choice(WINDOWS)
        now = NOW + draw.randrange(int(window))
        setup = []
        for key in keys:
            value = draw.choice(ODD) if odd() else str(draw.randrange(-4, 20)).encode()
            if odd():
                setup.append([b"rpush", key, b"1"])
            elif kind == "bucket" and draw.randrange(3):
                at = str(now - draw.randrange(4 * int(window))).encode()
                setup.append([b"hset", key, b"refilled_at", at, b"tokens", value])
            elif kind != "bucket" and draw.randrange(3):
                setup.append([b"set", key, value])
        calls = []
        for _ in range(1 + draw.randrange(4)):
            now += draw.randrange(int(window))
            words = {
                "fixed": ["window", "rate"],
                "sliding": ["limit", "now", "window", "rate"],
                "bucket": ["limit", "window", "refill", "now", "rate"],
            }[kind]
            given = {
                "limit": str(1 + draw.randrange(12)).encode(),
                "now": str(now).encode(),
                "window": window,
                "refill": str(1 + draw.randrange(4)).encode(),
                "rate": str(draw.randrange(1, 6)).encode(),
            }
            arguments = [
                draw.choice(ODD_WINDOWS if word == "window" else ODD) if odd() else given[word]
                for word in words
            ]
            if hostile and draw.randrange(12) == 0:
                arguments.pop()
            calls.append(arguments)
        yield keys, setup, calls


def play(client, script, native, kind, hostile, seed):
    client.config_set("native-scripts", native)
    client.flushall()
    seen = []
    for keys, setup, calls in cases(kind, hostile, seed):
        for words in setup:
            client.execute_command(*words)
        for arguments in calls:
            try:
                seen.append(client.execute_command("EVAL", script, len(keys), *keys, *arguments))
            except redis_py.ResponseError as error:
                seen.append(f"!{error}")
        for key in keys:
            # Hours, so that the time between two runs does not count.
            seen.append((client.dump(key), round(client.pttl(key) / 3_600_000)))
    return seen


@pytest.mark.parametrize("hostile", [False, True], ids=["as sent", "as nobody sends"])
@pytest.mark.parametrize("kind", ["fixed", "sliding", "bucket"])
def test_natively_and_by_lua(resp_port, kind, hostile):
    script = {"fixed": Fixed, "sliding": Sliding, "bucket": Bucket}[kind].SCRIPT
    client = redis_py.Redis(port=resp_port)
    try:
        native = play(client, script, "yes", kind, hostile, 7)
        assert native == play(client, script, "no", kind, hostile, 7)
    finally:
        client.config_set("native-scripts", "yes")


def test_known_before_it_was_loaded(resp_port):
    client = redis_py.Redis(port=resp_port)
    client.flushall()
    client.script_flush()
    for sha, keys, arguments, answer in [
        ("c12c2b62113f308e4ec9102e9f49c4bc5de1dbc2", ["a"], [3_600_000, 2], 2),
        ("f8c78d62cf9f06601d3d4f605595603fd6a7a860", ["b", "c"], [5, NOW, 3_600_000, 2], 3),
        (
            "7b6940a4ef8ef6a6e3ca32f19cb971dcc1e96b60",
            ["d"],
            [5, 3_600_000, 1, NOW, 2],
            [3, NOW + 3_600_000],
        ),
    ]:
        assert client.evalsha(sha, len(keys), *keys, *arguments) == answer
        assert client.script_exists(sha) == [False]
