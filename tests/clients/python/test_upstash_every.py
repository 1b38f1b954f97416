"""Every command that upstash-redis types, through its own methods: what REST answers is held against
the same command over RESP, in another database."""

import re

import pytest
from conftest import FAR
from redis.connection import Connection
from redis.exceptions import ResponseError
from upstash_redis import Redis

SCRIPT = "return {KEYS[1], ARGV[1], redis.call('GET', KEYS[1])}"
SHA = "efd5fbeacea04f1af8cb22dbe513464b1a604400"

CALLS = {
    "strings": lambda r: [
        lambda: r.set("s", "value"),
        lambda: r.set("s", "other", ex=100, get=True),
        lambda: r.append("s", "!"),
        lambda: r.get("s"),
        lambda: r.getrange("s", 1, -2),
        lambda: r.substr("s", 0, 2),
        lambda: r.setrange("s", 2, "xyz"),
        lambda: r.strlen("s"),
        lambda: r.getset("s", "again"),
        lambda: r.getex("s", persist=True),
        lambda: r.setex("e", 100, "v"),
        lambda: r.psetex("p", 100000, "v"),
        lambda: r.setnx("e", "w"),
        lambda: r.mset({"m1": 1, "m2": "two"}),
        lambda: r.msetnx({"m1": 1, "m9": 2}),
        lambda: r.mget("m1", "m2", "none"),
        lambda: r.getdel("m2"),
        lambda: r.incr("n"),
        lambda: r.incrby("n", 41),
        lambda: r.decr("n"),
        lambda: r.decrby("n", 7),
        lambda: r.incrbyfloat("f", 1.5),
        lambda: r.incr("s"),
        lambda: r.setbit("b", 7, 1),
        lambda: r.getbit("b", 7),
        lambda: r.bitcount("b", 0, 10),
        lambda: r.bitpos("b", 1),
        lambda: r.bitop("AND", "b2", "b", "s"),
        lambda: r.bitop("DIFF", "b2", "b", "s"),
        lambda: r.bitfield("bf").set("u8", 0, 255).incrby("u8", 0, 10).get("u8", 0).execute(),
        lambda: r.bitfield_ro("bf").get("u8", 0).execute(),
        lambda: r.pfadd("pf", "a", "b"),
        lambda: r.pfadd("pf2", "c"),
        lambda: r.pfcount("pf", "pf2"),
        lambda: r.pfmerge("pf3", "pf", "pf2"),
    ],
    "keys": lambda r: [
        lambda: r.mset({"a": 1, "b": 2}),
        lambda: r.copy("a", "c"),
        lambda: r.exists("a", "none"),
        lambda: r.touch("a", "b"),
        lambda: r.type("a"),
        lambda: r.rename("c", "d"),
        lambda: r.renamenx("d", "a"),
        lambda: r.expire("a", 100),
        lambda: r.expireat("a", FAR),
        lambda: r.pexpire("a", 100000),
        lambda: r.pexpireat("a", FAR * 1000),
        lambda: r.ttl("a"),
        lambda: r.pttl("a"),
        lambda: r.persist("a"),
        lambda: r.keys("*"),
        lambda: r.scan(0, match="*", count=1000),
        lambda: r.dbsize(),
        lambda: r.delete("a"),
        lambda: r.unlink("b"),
        lambda: r.randomkey(),
        lambda: r.ping(),
        lambda: r.ping("you"),
        lambda: r.echo("text"),
        lambda: r.time(),
        lambda: r.publish("nobody", "x"),
        lambda: r.client_setinfo("LIB-NAME", "tester"),
    ],
    "hashes": lambda r: [
        lambda: r.hset("h", values={"a": 1, "b": "two"}),
        lambda: r.hmset("h", {"c": 3}),
        lambda: r.hsetnx("h", "a", 9),
        lambda: r.hget("h", "a"),
        lambda: r.hmget("h", "a", "none"),
        lambda: r.hgetall("h"),
        lambda: r.hkeys("h"),
        lambda: r.hvals("h"),
        lambda: r.hlen("h"),
        lambda: r.hexists("h", "a"),
        lambda: r.hstrlen("h", "b"),
        lambda: r.hincrby("h", "a", 4),
        lambda: r.hincrbyfloat("h", "a", 0.5),
        lambda: r.hrandfield("h", 10),
        lambda: r.hscan("h", 0, count=100),
        lambda: r.hdel("h", "c", "none"),
        lambda: r.hexpire("h", "a", 100),
        lambda: r.hexpireat("h", "a", FAR),
        lambda: r.hpexpire("h", ["a", "none"], 100000),
        lambda: r.hpexpireat("h", "a", FAR * 1000),
        lambda: r.httl("h", "a"),
        lambda: r.hpttl("h", "a"),
        lambda: r.hexpiretime("h", "a"),
        lambda: r.hpexpiretime("h", "a"),
        lambda: r.hpersist("h", "a"),
        lambda: r.hsetex("h", values={"x": 1}, ex=100),
        lambda: r.hgetex("h", "x", ex=200),
        lambda: r.hgetdel("h", "x"),
    ],
    "lists and sets": lambda r: [
        lambda: r.rpush("l", "a", "b", "c", "b"),
        lambda: r.lpush("l", 1),
        lambda: r.lpushx("none", "x"),
        lambda: r.rpushx("l", "z"),
        lambda: r.lrange("l", 0, -1),
        lambda: r.lindex("l", 1),
        lambda: r.llen("l"),
        lambda: r.linsert("l", "BEFORE", "c", "new"),
        lambda: r.lset("l", 0, "first"),
        lambda: r.lset("l", 100, "beyond"),
        lambda: r.lpos("l", "b", rank=1, count=2, maxlen=10),
        lambda: r.lrem("l", 1, "b"),
        lambda: r.lmove("l", "l2"),
        lambda: r.rpoplpush("l", "l2"),
        lambda: r.ltrim("l", 0, 3),
        lambda: r.lpop("l"),
        lambda: r.rpop("l", 2),
        lambda: r.sadd("set", "a", "b", "c"),
        lambda: r.sadd("set2", "b", "x"),
        lambda: r.scard("set"),
        lambda: r.sismember("set", "a"),
        lambda: r.smismember("set", "a", "none"),
        lambda: r.smembers("set"),
        lambda: r.sdiff("set", "set2"),
        lambda: r.sinter("set", "set2"),
        lambda: r.sunion("set", "set2"),
        lambda: r.sdiffstore("set3", "set", "set2"),
        lambda: r.sinterstore("set4", "set", "set2"),
        lambda: r.sunionstore("set5", "set", "set2"),
        lambda: r.smove("set", "set2", "a"),
        lambda: r.srem("set", "b"),
        lambda: r.sscan("set5", 0, count=100),
        lambda: r.srandmember("set5", 100),
        lambda: r.spop("set5", 100),
    ],
    "sorted sets": lambda r: [
        lambda: r.zadd("z", {"one": 1, "two": 2.5, "three": 3}),
        lambda: r.zadd("z", {"four": 4}, nx=True, ch=True),
        lambda: r.zadd("z", {"one": 1}, incr=True),
        lambda: r.zadd("z2", {"one": 1, "nine": 9}),
        lambda: r.zcard("z"),
        lambda: r.zcount("z", "-inf", "(3"),
        lambda: r.zlexcount("z", "-", "+"),
        lambda: r.zscore("z", "two"),
        lambda: r.zmscore("z", ["one", "none"]),
        lambda: r.zincrby("z", 0.5, "two"),
        lambda: r.zrank("z", "two"),
        lambda: r.zrevrank("z", "two"),
        lambda: r.zrange("z", 0, -1, withscores=True),
        lambda: r.zrange("z", 0, 5, sortby="BYSCORE", offset=0, count=5),
        lambda: r.zrangebylex("z", "-", "+"),
        lambda: r.zrangebyscore("z", 0, 5, withscores=True),
        lambda: r.zrangestore("z6", "z", 0, 1),
        lambda: r.zrevrange("z", 0, 1),
        lambda: r.zrevrangebylex("z", "+", "-"),
        lambda: r.zrevrangebyscore("z", 5, 0),
        lambda: r.zdiff(["z", "z2"]),
        lambda: r.zinter(["z", "z2"], withscores=True),
        lambda: r.zunion(["z", "z2"], weights=[1, 2], withscores=True),
        lambda: r.zunionstore("z3", ["z", "z2"]),
        lambda: r.zinterstore("z4", ["z", "z2"]),
        lambda: r.zdiffstore("z5", ["z", "z2"]),
        lambda: r.zscan("z", 0, count=100),
        lambda: r.zrandmember("z6", 100),
        lambda: r.zrem("z3", "one", "none"),
        lambda: r.zremrangebylex("z4", "-", "(o"),
        lambda: r.zremrangebyrank("z3", 0, 0),
        lambda: r.zremrangebyscore("z3", "(1", 3),
        lambda: r.zpopmin("z"),
        lambda: r.zpopmax("z", 2),
    ],
    "geo": lambda r: [
        lambda: r.geoadd("g", (13.361389, 38.115556, "Palermo"), (15.087269, 37.502669, "Catania")),
        lambda: r.geodist("g", "Palermo", "Catania", unit="KM"),
        lambda: r.geohash("g", "Palermo", "none"),
        lambda: r.geopos("g", "Catania", "none"),
        lambda: r.georadius("g", 15, 37, 200, "KM", withdist=True),
        lambda: r.georadius_ro("g", 15, 37, 200, "KM", withcoord=True),
        lambda: r.georadiusbymember("g", "Palermo", 200, "KM"),
        lambda: r.georadiusbymember_ro("g", "Palermo", 200, "KM"),
        lambda: r.geosearch("g", longitude=15, latitude=37, radius=200, unit="KM", order="ASC"),
        lambda: r.geosearchstore("g2", "g", member="Palermo", width=400, height=400, unit="KM"),
    ],
    "streams": lambda r: [
        lambda: r.xadd("x", "1-1", {"f": "v", "g": 2}),
        lambda: r.xadd("x", "2-1", {"f": "w"}),
        lambda: r.xadd("x", "3-1", {"f": "u"}),
        lambda: r.xadd("x", "1-1", {"f": "late"}),
        lambda: r.xlen("x"),
        lambda: r.xrange("x", "-", "+"),
        lambda: r.xrevrange("x", "+", "-", 2),
        lambda: r.xread({"x": "0-0"}, count=2),
        lambda: r.xgroup_create("x", "gr", "0"),
        lambda: r.xgroup_createconsumer("x", "gr", "c1"),
        lambda: r.xreadgroup("gr", "c1", {"x": ">"}, count=3),
        lambda: r.xpending("x", "gr"),
        lambda: r.xack("x", "gr", "1-1"),
        lambda: r.xclaim("x", "gr", "c2", 0, "2-1"),
        lambda: r.xautoclaim("x", "gr", "c3", 0, start="0-0", count=1),
        lambda: r.xinfo_groups("x"),
        lambda: r.xinfo_consumers("x", "gr"),
        lambda: r.xackdel("x", "gr", "2-1"),
        lambda: r.xdelex("x", "3-1"),
        lambda: r.xdel("x", "1-1"),
        lambda: r.xtrim("x", maxlen=0),
        lambda: r.xgroup_setid("x", "gr", "$"),
        lambda: r.xgroup_delconsumer("x", "gr", "c1"),
        lambda: r.xgroup_destroy("x", "gr"),
    ],
    "scripts": lambda r: [
        lambda: r.set("n", 1),
        lambda: r.eval(SCRIPT, ["n"], ["arg"]),
        lambda: r.eval_ro(SCRIPT, ["n"], ["arg"]),
        lambda: r.script_load(SCRIPT),
        lambda: r.script_exists(SHA),
        lambda: r.evalsha(SHA, ["n"], ["arg"]),
        lambda: r.evalsha_ro(SHA, ["n"], ["arg"]),
        lambda: r.script_flush(),
        lambda: r.flushdb(),
        lambda: r.flushall(),
    ],
}

# What is no command, or stands in other tests.
OTHERS = {"close", "execute", "from_env", "json", "multi", "pipeline", "search"}

UNORDERED = re.compile(
    r"keys|scan|sscan|smembers|s(diff|inter|union)|h(keys|vals|getall|scan|randfield)"
    r"|srandmember|spop|zrandmember"
)


def rough(value):
    """A reply without what passes between two looks."""
    if not isinstance(value, list):
        return "some" if isinstance(value, int) and value > 40 else value
    told = [one if not re.fullmatch("idle|inactive", str(one)) else one for one in value]
    idle = [at for at in range(1, len(told)) if told[at - 1] in ("idle", "inactive")]
    return ["some" if at in idle else rough(one) for at, one in enumerate(told)]


def ordered(value):
    return sorted(map(ordered, value), key=str) if isinstance(value, list) else value


class Over:
    """RESP2 in database 1, as it comes."""

    def __init__(self, port):
        self.connection = Connection(host="127.0.0.1", port=port, db=1, protocol=2, decode_responses=True)

    def call(self, *words):
        self.connection.send_command(*words)
        try:
            return self.connection.read_response()
        except ResponseError as error:
            return error


@pytest.mark.parametrize("family", CALLS)
def test_every_command_answers_what_it_answers_over_resp(family, rest, resp_port):
    over = Over(resp_port)
    over.call("FLUSHALL")
    redis = Redis(**rest, rest_retries=0, allow_telemetry=False)
    sent, inner = [], redis._http.execute

    def execute(url, headers, command):
        try:
            answer = inner(url=url, headers=headers, command=command)
        except Exception as error:
            sent.append((command, error))
            raise
        sent.append((command, answer))
        return answer

    redis._http.execute = execute
    wrong = []
    for call in CALLS[family](redis):
        try:
            call()
        except Exception as error:
            assert sent and sent[-1][1] is error, error
        assert sent
        for command, answer in sent:
            # JSON has no other words for them.
            words = [str(word).lower() if isinstance(word, bool) else str(word) for word in command]
            if words[0].lower() == "time":
                continue
            theirs = over.call(*words)
            if isinstance(theirs, ResponseError):
                # redis-py takes the first word of an error off.
                same = str(theirs) in str(answer)
            else:
                ours = answer
                if UNORDERED.fullmatch(words[0].lower()):
                    ours, theirs = ordered(ours), ordered(theirs)
                if re.fullmatch("p?ttl|hp?ttl|xinfo|xpending", words[0].lower()):
                    ours, theirs = rough(ours), rough(theirs)
                same = ours == theirs
            if not same:
                wrong.append((words, answer, theirs))
        sent.clear()
    assert wrong == []


def test_none_is_left_out():
    class Named:
        def __init__(self):
            self.called = set()

        def __getattr__(self, name):
            def anything(*_, **__):
                self.called.add(name)
                return Chain()

            return anything

    class Chain:
        def __getattr__(self, name):
            return lambda *_, **__: self

    named = Named()
    for calls in CALLS.values():
        for call in calls(named):
            call()
    typed = {name for name in dir(Redis) if not name.startswith("_")}
    assert typed - named.called - OTHERS == set()
