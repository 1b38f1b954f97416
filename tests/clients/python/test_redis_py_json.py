"""redis-py's json(), RESP2 and RESP3: each command once."""

import os

import pytest
import redis

PORT = int(os.environ["EAVE_RESP_PORT"])

if "EAVE_REST_URL" not in os.environ:
    pytest.skip("JSON is Eave's: redis-server has no such type", allow_module_level=True)


@pytest.fixture(params=[2, 3])
def r(request):
    client = redis.Redis(port=PORT, protocol=request.param, decode_responses=True)
    client.flushall()
    yield client
    client.close()


def flat(answer):
    """TYPE of RESP3 lies in one array more."""
    return answer[0] if isinstance(answer, list) and len(answer) == 1 else answer


def test_documents(r):
    j = r.json()
    assert j.set("k", "$", {"a": 1, "b": {"c": [1, 2.5, "x", None, True]}})
    assert j.get("k") == {"a": 1, "b": {"c": [1, 2.5, "x", None, True]}}
    assert j.get("k", "$.b.c[0]") == [1]
    assert j.get("k", ".b.c[1]") == 2.5
    assert j.get("none") is None
    assert j.set("k", "$.a", 2, nx=True) is None
    assert j.set("k", "$.a", 2, xx=True)
    assert j.mset([("k1", "$", {"a": 1}), ("k2", "$", [1])])
    assert j.mget(["k1", "k2", "none"], "$") == [[{"a": 1}], [[1]], None]
    assert j.merge("k1", "$", {"a": None, "b": 2})
    assert j.get("k1") == {"b": 2}
    assert flat(j.type("k1", "$.b")) in ("integer", ["integer"])
    assert j.delete("k1", "$.b") == 1
    assert j.forget("k1") == 1
    assert r.exists("k1") == 0
    assert r.type("k") == "ReJSON-RL"


def test_values(r):
    j = r.json()
    j.set("k", "$", {"n": 1, "s": "ab", "t": True, "o": {"x": 1}, "a": [1, 2, 3]})
    assert j.numincrby("k", "$.n", 2) == [3]
    assert j.nummultby("k", "$.n", 2) == [6]
    assert j.strappend("k", "cd", "$.s") == [4]
    assert j.strlen("k", "$.s") == [4]
    assert j.toggle("k", "$.t") == [False]
    assert j.objkeys("k", "$.o") == [["x"]]
    assert j.objlen("k", "$.o") == [1]
    assert j.arrappend("k", "$.a", 4, "five") == [5]
    assert j.arrindex("k", "$.a", 4) == [3]
    assert j.arrinsert("k", "$.a", 0, 0) == [6]
    assert j.arrlen("k", "$.a") == [6]
    assert flat(j.arrpop("k", "$.a")) in ("five", '"five"')
    assert j.arrtrim("k", "$.a", 1, 2) == [2]
    assert j.get("k", "$.a") == [[1, 2]]
    assert j.clear("k", "$.a") == 1
    assert j.resp("k", "$.o") == [["{", "x", 1]]
    assert j.debug("MEMORY", "k") > 0


def test_errors(r):
    r.set("s", "x")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        r.json().get("s")
    with pytest.raises(redis.ResponseError, match="must be created at the root"):
        r.json().set("k", "$.a", 1)
