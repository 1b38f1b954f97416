"""redis-py, over RESP2 and RESP3: messages, locks, scripts, functions, waiting, streams,
copies kept by the client, and what happens when a connection is lost."""

import threading
import time

import pytest
import redis as redis_py
from redis.cache import CacheConfig
from redis.exceptions import LockError, LockNotOwnedError, NoScriptError, ResponseError


@pytest.fixture(params=[2, 3], ids=["RESP2", "RESP3"])
def connect(request, resp_port):
    opened = []

    def client(**options):
        options = {"decode_responses": True, "protocol": request.param, **options}
        opened.append(redis_py.Redis(port=resp_port, **options))
        return opened[-1]

    yield client
    for client in opened:
        client.close()


@pytest.fixture
def redis(connect):
    client = connect()
    client.flushall()
    client.script_flush()
    return client


def until(condition):
    """Waits until the condition holds; a slow machine may take its time."""
    deadline = time.monotonic() + 60
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.005)
    return value


def in_thread(call, *args, **options):
    """Calls in a thread; what it is called for the result waits for it."""
    outcome = []

    def run():
        try:
            outcome.append(call(*args, **options))
        except Exception as error:
            outcome.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def result():
        thread.join(60)
        return outcome[0]

    return result


def blocked(redis, count):
    until(lambda: redis.info("clients")["blocked_clients"] == count)


def test_messages_in_a_thread(redis):
    heard = []
    pubsub = redis.pubsub()
    pubsub.subscribe(news=heard.append)
    pubsub.psubscribe(**{"m*": heard.append})
    thread = pubsub.run_in_thread(sleep_time=0.01, daemon=True)
    until(lambda: redis.pubsub_numpat() == 1)
    assert redis.pubsub_channels() == ["news"]
    assert redis.pubsub_numsub("news", "none") == [("news", 1), ("none", 0)]
    assert redis.publish("news", "Hello ünï") == 1
    assert redis.publish("music", "loud") == 1
    until(lambda: len(heard) == 2)
    assert heard[0] == {
        "type": "message",
        "pattern": None,
        "channel": "news",
        "data": "Hello ünï",
    }
    assert (heard[1]["pattern"], heard[1]["channel"]) == ("m*", "music")
    thread.stop()
    thread.join(60)
    assert not thread.is_alive()


def test_messages_one_by_one(redis):
    with redis.pubsub(ignore_subscribe_messages=True) as pubsub:
        pubsub.subscribe("news")
        pubsub.ssubscribe("shard")
        until(lambda: pubsub.get_message(timeout=0.01) is None and redis.publish("news", "a"))
        assert until(lambda: pubsub.get_message(timeout=1))["data"] == "a"
        until(lambda: redis.spublish("shard", "b"))
        assert until(lambda: pubsub.get_message(timeout=1))["data"] == "b"
        pubsub.ping()
        pubsub.unsubscribe()
        pubsub.sunsubscribe()
        until(lambda: pubsub.get_message(timeout=0.01) is None and not pubsub.subscribed)
    assert redis.publish("news", "nobody") == 0


def test_locks(redis):
    lock = redis.lock("lock", timeout=60)
    assert lock.acquire()
    assert lock.locked() and lock.owned()
    other = redis.lock("lock", timeout=60)
    assert other.acquire(blocking=False) is False
    assert not other.owned()
    assert 0 < redis.pttl("lock") <= 60_000
    assert lock.extend(60, replace_ttl=False)
    assert redis.pttl("lock") > 60_000
    assert lock.reacquire()
    assert redis.pttl("lock") <= 60_000
    lock.release()
    assert redis.exists("lock") == 0
    with pytest.raises(LockError):
        lock.release()
    with redis.lock("lock", timeout=60):
        assert redis.exists("lock") == 1
    assert redis.exists("lock") == 0


def test_a_lock_that_somebody_else_took(redis):
    lock = redis.lock("lock", timeout=60)
    assert lock.acquire(token="token")
    assert redis.get("lock") == "token"
    redis.set("lock", "somebody else")
    for call in (lock.release, lock.reacquire, lambda: lock.extend(5)):
        with pytest.raises(LockNotOwnedError):
            lock.local.token = b"token"
            call()
    assert redis.get("lock") == "somebody else"


def test_many_threads_take_turns(redis):
    inside, most = [], []

    def turn():
        for _ in range(5):
            with redis.lock("lock", timeout=60, sleep=0.002):
                inside.append(1)
                most.append(len(inside))
                value = int(redis.get("n") or 0)
                redis.set("n", value + 1)
                inside.pop()
        return True

    results = [in_thread(turn) for _ in range(6)]
    assert [result() for result in results] == [True] * 6
    assert (redis.get("n"), max(most)) == ("30", 1)


def test_transactions_with_watch_by_many_threads(redis):
    redis.mset({"from": 100, "to": 0})

    def move(pipe):
        left, right = int(pipe.get("from")), int(pipe.get("to"))
        pipe.multi()
        pipe.set("from", left - 1)
        pipe.set("to", right + 1)

    def many():
        return [redis.transaction(move, "from", "to") for _ in range(10)]

    results = [in_thread(many) for _ in range(5)]
    assert all(result() == [[True, True]] * 10 for result in results)
    assert redis.mget("from", "to") == ["50", "50"]


def test_scripts(redis):
    multiply = redis.register_script("return redis.call('GET', KEYS[1]) * ARGV[1]")
    redis.set("n", 7)
    assert multiply(keys=["n"], args=[6]) == 42
    redis.script_flush()
    assert redis.script_exists(multiply.sha) == [False]
    assert multiply(keys=["n"], args=[2]) == 14
    redis.script_flush()
    with redis.pipeline() as pipe:
        multiply(keys=["n"], args=[3], client=pipe)
        pipe.get("n")
        assert pipe.execute() == [21, "7"]
    with pytest.raises(NoScriptError):
        redis.evalsha("0" * 40, 0)
    assert redis.eval("return {KEYS, ARGV, 1.9}", 1, "k", "a", "b") == [["k"], ["a", "b"], 1]
    with pytest.raises(ResponseError, match="Write commands are not allowed"):
        redis.eval_ro("return redis.call('SET', KEYS[1], 1)", 1, "k")
    with pytest.raises(ResponseError, match="^my own"):
        redis.eval("return {err='my own'}", 0)
    with pytest.raises(redis_py.ResponseError, match="running a script|No scripts in execution"):
        redis.script_kill()


def test_a_script_without_end_is_killed(redis, connect):
    redis.config_set("busy-reply-threshold", 10)
    endless = in_thread(connect().eval, "while true do pcall(function() end) end", 1, "k")

    def busy():
        try:
            redis.get("k")
        except ResponseError as error:
            return "busy" in str(error).lower()

    until(busy)
    assert redis.script_kill()
    assert "Script killed by user" in str(endless())
    assert redis.set("k", "v") is True
    redis.config_set("busy-reply-threshold", 5000)


def test_functions(redis):
    library = """#!lua name=mylib
    redis.register_function('put', function(keys, args) return redis.call('SET', keys[1], args[1]) end)
    redis.register_function{
      function_name = 'look',
      callback = function(keys) return redis.call('GET', keys[1]) end,
      flags = {'no-writes'},
    }"""
    redis.function_flush()
    assert redis.function_load(library) == "mylib"
    assert redis.function_load(library, replace=True) == "mylib"
    assert redis.fcall("put", 1, "k", "v") == "OK"
    assert redis.fcall_ro("look", 1, "k") == "v"
    assert "mylib" in str(redis.function_list(library="my*", withcode=True))
    assert "LUA" in str(redis.function_stats())
    assert redis.function_delete("mylib")
    with pytest.raises(ResponseError, match="Function not found"):
        redis.fcall("put", 1, "k", "v")


def test_waiting(redis, connect):
    one, two, three = connect(), connect(), connect()
    first = in_thread(one.blpop, ["a", "b"], timeout=0)
    blocked(redis, 1)
    second = in_thread(two.brpop, "a", timeout=0)
    blocked(redis, 2)
    third = in_thread(three.blmove, "a", "target", timeout=0, src="LEFT", dest="RIGHT")
    blocked(redis, 3)
    assert redis.rpush("a", "1", "2", "3") == 3
    assert tuple(first()) == ("a", "1")
    assert tuple(second()) == ("a", "3")
    assert third() == "2"
    lowest = in_thread(one.bzpopmin, "zset", timeout=0)
    many = in_thread(two.blmpop, 0, 2, "none", "list", direction="RIGHT", count=2)
    blocked(redis, 2)
    redis.zadd("zset", {"low": 1.5, "high": 2})
    redis.rpush("list", "x", "y", "z")
    assert list(lowest()) == ["zset", "low", 1.5]
    assert many() == ["list", ["z", "y"]]
    assert one.blpop("nothing", timeout=0.01) is None
    wakes = in_thread(one.blpop, "never", timeout=0)
    blocked(redis, 1)
    (waiting,) = [line for line in redis.client_list() if line["cmd"] == "blpop" and "b" in line["flags"]]
    assert redis.client_unblock(waiting["id"]) == 1
    assert wakes() is None
    redis.set("k", "v")
    assert redis.wait(0, 10) == 0


def test_streams(redis, connect):
    reading = in_thread(connect().xread, {"stream": "$"}, block=0)
    blocked(redis, 1)
    sent = redis.xadd("stream", {"field": "value"})
    assert sent in str(reading())
    assert redis.xgroup_create("stream", "group", id="0")
    reader = connect()
    assert sent in str(reader.xreadgroup("group", "ann", {"stream": ">"}))
    waits = in_thread(reader.xreadgroup, "group", "bob", {"stream": ">"}, block=0, count=5)
    blocked(redis, 1)
    later = redis.xadd("stream", {"field": "later"}, maxlen=100, approximate=False)
    assert later in str(waits())
    assert redis.xpending("stream", "group")["pending"] == 2
    detail = redis.xpending_range("stream", "group", "-", "+", 10)
    assert [entry["consumer"] for entry in detail] == ["ann", "bob"]
    assert redis.xack("stream", "group", sent) == 1
    assert redis.xclaim("stream", "group", "ann", 0, [later], justid=True) == [later]
    assert redis.xautoclaim("stream", "group", "bob", 0)[1][0][0] == later
    assert redis.xinfo_groups("stream")[0]["consumers"] == 2
    assert redis.xinfo_stream("stream")["length"] == 2


def test_copies_kept_by_the_client(redis, connect):
    if redis.connection_pool.connection_kwargs["protocol"] == 2:
        pytest.skip("copies are kept over RESP3 only")
    version = tuple(int(part) for part in redis.info("server")["redis_version"].split("."))
    if version < (7, 4):
        pytest.skip("redis-py keeps copies of servers from 7.4 on")
    client = connect(cache_config=CacheConfig())
    cache = client.get_cache()
    redis.set("k", "one")
    redis.hset("h", "f", "v")
    assert (client.get("k"), client.get("k")) == ("one", "one")
    assert client.hget("h", "f") == "v"
    assert cache.size == 2
    redis.set("k", "two")
    until(lambda: client.get("k") == "two")
    redis.pexpire("h", 1)
    until(lambda: client.hget("h", "f") is None)
    redis.flushall()
    until(lambda: client.get("k") is None)


def test_changed_keys_are_told_to_another_connection(redis, connect):
    with connect(protocol=2).pubsub(ignore_subscribe_messages=True) as told:
        told.subscribe("__redis__:invalidate")
        assert told.get_message(timeout=60) is None
        (listener,) = redis.client_list(_type="pubsub")
        client = connect(single_connection_client=True)
        assert client.client_tracking_on(clientid=int(listener["id"]), noloop=True)
        info = client.client_trackinginfo()
        assert str(listener["id"]) in str(info) and "noloop" in str(info)
        assert client.get("k") is None
        redis.set("k", "v")
        assert until(lambda: told.get_message(timeout=1))["data"] == ["k"]
        redis.set("k", "nobody looked since")
        assert client.get("k") == "nobody looked since"
        client.set("k", "my own")
        client.get("other")
        redis.set("other", "v")
        assert until(lambda: told.get_message(timeout=1))["data"] == ["other"]
        assert client.client_tracking_off()


def test_a_lost_connection_comes_back(redis, connect):
    client = connect(client_name="lost", db=3)
    client.set("k", "in three")
    pubsub = client.pubsub()
    pubsub.subscribe("news")
    assert pubsub.get_message(timeout=60)["type"] == "subscribe"
    assert client.get("k") == "in three"
    lost = [line["id"] for line in redis.client_list() if line["name"] == "lost"]
    assert len(lost) == 2
    for client_id in lost:
        assert redis.client_kill_filter(_id=client_id) == 1
    assert client.get("k") == "in three"
    assert client.client_getname() == "lost"
    # Its subscriptions with it: "subscribe" once more, then what is said.
    assert until(lambda: pubsub.get_message(timeout=1))["type"] == "subscribe"
    assert redis.publish("news", "still there") == 1
    until(lambda: (pubsub.get_message(timeout=1) or {}).get("data") == "still there")


def test_a_monitor(redis, connect):
    with connect().monitor() as monitor:
        redis.set("key", "a value")
        line = until(lambda: (found := monitor.next_command())["command"].startswith("SET") and found)
    assert line["command"] == "SET key a value"
    assert (line["db"], line["client_type"]) == (0, "tcp")


def test_users(redis, connect):
    assert redis.acl_whoami() == "default"
    assert redis.acl_setuser(
        "ann",
        enabled=True,
        passwords=["+secret"],
        categories=["+@read"],
        commands=["+set", "-keys"],
        keys=["app:*"],
    )
    found = redis.acl_getuser("ann")
    assert "on" in found["flags"] and "+set" in found["commands"]
    ann = connect(username="ann", password="secret")
    assert ann.set("app:k", 1) is True
    for denied in (lambda: ann.set("other", 1), lambda: ann.keys("*"), ann.flushall):
        with pytest.raises(redis_py.exceptions.NoPermissionError):
            denied()
    assert "ann" in redis.acl_users()
    assert redis.acl_log()[0]["username"] == "ann"
    assert redis.acl_log_reset()
    assert redis.acl_deluser("ann") == 1
    with pytest.raises(redis_py.AuthenticationError):
        connect(username="ann", password="secret").ping()
