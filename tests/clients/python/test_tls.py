"""TLS: redis-py and upstash-redis, each with the authority that it is told of.

eave-doors: tls
"""

import os
import ssl

import pytest
import redis
from upstash_redis import Redis as Upstash


def connect(**options) -> redis.Redis:
    return redis.Redis(
        host="localhost",
        port=int(os.environ["EAVE_TLS_PORT"]),
        ssl=True,
        ssl_ca_certs=os.environ["EAVE_TLS_CA"],
        decode_responses=True,
        **options,
    )


@pytest.fixture
def own() -> dict[str, str]:
    return {
        "ssl_certfile": os.environ["EAVE_TLS_CERT"],
        "ssl_keyfile": os.environ["EAVE_TLS_KEY"],
    }


@pytest.mark.parametrize("protocol", [2, 3])
def test_commands(own, protocol):
    client = connect(protocol=protocol, **own)
    client.delete("tls:scores")
    with client.pipeline() as pipeline:
        for number in range(500):
            pipeline.zadd("tls:scores", {f"m{number}": number})
        assert sum(pipeline.execute()) == 500
    assert client.zcard("tls:scores") == 500
    large = "y" * 2_000_000
    client.set("tls:large", large)
    assert client.get("tls:large") == large


def test_versions(own):
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        assert connect(ssl_min_version=version, **own).ping()


def test_without_a_certificate():
    with pytest.raises(redis.ConnectionError):
        connect().ping()


def test_another_name(own):
    other = redis.Redis(
        host="127.0.0.2",
        port=int(os.environ["EAVE_TLS_PORT"]),
        ssl=True,
        ssl_ca_certs=os.environ["EAVE_TLS_CA"],
        **own,
    )
    with pytest.raises(redis.ConnectionError):
        other.ping()


def test_rest():
    with Upstash(
        url=os.environ["EAVE_REST_TLS_URL"],
        token=os.environ["EAVE_REST_TOKEN"],
        rest_retries=0,
        allow_telemetry=False,
    ) as client:
        assert client.set("tls:rest", "v") is True
        assert client.get("tls:rest") == "v"
