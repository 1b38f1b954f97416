"""The tasks of test_rq.py; the worker imports this."""

import os

from redis import Redis


def client():
    return Redis(port=int(os.environ["EAVE_RESP_PORT"]), decode_responses=True)


def add(left, right):
    return left + right


def fails(text):
    raise ValueError(text)


def at_the_third_try():
    with client() as redis:
        tries = redis.incr("tries")
    if tries < 3:
        raise ValueError(f"try {tries}")
    return tries


def note(text):
    with client() as redis:
        redis.rpush("notes", text)


def never_ends():
    """Waits on a list that stays empty."""
    with client() as redis:
        redis.set("has begun", 1)
        while True:
            redis.blpop("nothing", timeout=1)


def succeeded(job, connection, result):
    connection.rpush("notes", f"success {result}")


def failed(job, connection, kind, value, trace):
    connection.rpush("notes", f"failure {value}")
