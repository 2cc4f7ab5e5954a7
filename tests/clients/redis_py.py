"""redis-py, as it is, against an address: values, not only the absence of errors.

    redis_py.py HOST:PORT 2|3

Each function below is a behaviour; its keys begin with a name that no other run uses.
"""

import asyncio
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import redis
import redis.asyncio
from redis.backoff import NoBackoff
from redis.retry import Retry

HOST, PORT = sys.argv[1].rsplit(":", 1)
PROTOCOL = int(sys.argv[2])
RUN = f"redis-py:{PROTOCOL}:{os.getpid()}:{time.time_ns()}"


def key(name, tag=None):
    """A key of this run; those with one tag are in one slot."""
    return f"{RUN}:{{{tag}}}:{name}" if tag else f"{RUN}:{name}"


def connect(**options):
    options = {"host": HOST, "port": int(PORT), "protocol": PROTOCOL, "socket_timeout": 20, "decode_responses": True} | options
    return redis.Redis(**options)


def equal(actual, wanted):
    if actual != wanted or type(actual) is not type(wanted):
        raise AssertionError(f"{actual!r} is not {wanted!r}")


def raises(kind, text, call):
    try:
        reply = call()
    except kind as error:
        if text not in str(error):
            raise AssertionError(f"{error!r} does not say {text!r}") from error
    else:
        raise AssertionError(f"{reply!r} is no {kind.__name__}")


def strings(client):
    k = key("string")
    equal(client.set(k, "v"), True)
    equal(client.get(k), "v")
    equal(client.set(k, "w", nx=True), None)
    equal(client.set(k, "w", xx=True, get=True, ex=100), "v")
    assert 98 <= client.ttl(k) <= 100
    equal(client.getex(k, persist=True), "w")
    equal(client.ttl(k), -1)
    equal(client.append(k, "xyz"), 4)
    equal(client.getrange(k, 1, -1), "xyz")
    equal(client.strlen(k), 4)
    equal(client.getdel(k), "wxyz")
    equal(client.get(k), None)
    equal(client.incr(k), 1)
    equal(client.incrby(k, 41), 42)
    equal(client.decr(k, 2), 40)
    equal(client.incrbyfloat(k, 0.5), 40.5)
    client.set(k, "text")
    raises(redis.ResponseError, "value is not an integer or out of range", lambda: client.incr(k))
    raises(redis.ResponseError, "WRONGTYPE", lambda: client.lpush(k, "x"))


def bitmaps(client):
    k, other = key("bits", "bits"), key("other", "bits")
    client.set(k, "40.5")
    equal(client.setbit(k, 7, 1), 0)
    equal(client.getbit(k, 7), 1)
    equal(client.bitcount(k), 14)
    equal(client.bitpos(k, 1), 2)
    equal(client.bitop("NOT", other, k), 4)
    equal(client.bitcount(other), 18)
    equal(client.bitfield(k).get("u8", 0).set("u8", 0, 1).execute(), [53, 53])


def many_keys_in_many_slots(client):
    values = {key(f"many:{i}"): str(i) for i in range(500)}
    equal(client.mset(values), True)
    equal(client.mget(list(values)), list(values.values()))
    equal(client.exists(*values), 500)
    equal(client.touch(*values), 500)
    equal(client.mget(key("none"), key("many:7")), [None, "7"])
    equal(client.delete(*list(values)[:250]), 250)
    equal(client.unlink(*values), 250)
    equal(client.exists(*values), 0)
    equal(client.msetnx({key("a", "t"): "1", key("b", "t"): "2"}), True)
    equal(client.msetnx({key("a", "t"): "1", key("c", "t"): "2"}), False)


def binary(client):
    raw = connect(decode_responses=False)
    everything = bytes(range(256)) * 40
    k = key("binary").encode() + b"\x00\r\n\xff"
    equal(raw.set(k, everything), True)
    equal(raw.get(k), everything)
    equal(raw.hset(k + b"h", everything[:300], b""), 1)
    equal(raw.hgetall(k + b"h"), {everything[:300]: b""})
    big = os.urandom(3 << 20)
    equal(raw.set(k, big), True)
    assert raw.get(k) == big
    raw.delete(k)
    raw.close()


def hashes(client):
    k = key("hash")
    equal(client.hset(k, mapping={"a": 1, "b": "two", "c": 3.5}), 3)
    equal(client.hset(k, "a", 2), 0)
    equal(client.hgetall(k), {"a": "2", "b": "two", "c": "3.5"})
    equal(client.hmget(k, "b", "none", "a"), ["two", None, "2"])
    equal(sorted(client.hkeys(k)), ["a", "b", "c"])
    equal(sorted(client.hvals(k)), ["2", "3.5", "two"])
    equal(client.hincrby(k, "a", 40), 42)
    equal(client.hincrbyfloat(k, "c", 0.25), 3.75)
    equal(client.hexists(k, "b"), True)
    equal(client.hlen(k), 3)
    equal(client.hstrlen(k, "b"), 3)
    equal(bool(client.hsetnx(k, "b", "x")), False)
    equal(client.hdel(k, "a", "b", "none"), 2)
    equal(dict(client.hscan_iter(k)), {"c": "3.75"})
    equal(client.hrandfield(k, 5, withvalues=True), [["c", "3.75"]] if PROTOCOL == 3 else ["c", "3.75"])
    wide = {f"f{i}": str(i) for i in range(2000)}
    equal(client.hset(k + ":wide", mapping=wide), 2000)
    equal(dict(client.hscan_iter(k + ":wide", count=100)), wide)
    equal(client.hgetall(k + ":wide"), wide)


def lists(client):
    k, other = key("list", "l"), key("other", "l")
    equal(client.rpush(k, *range(10)), 10)
    equal(client.lrange(k, 2, 4), ["2", "3", "4"])
    equal(client.lpop(k), "0")
    equal(client.rpop(k, 2), ["9", "8"])
    equal(client.lindex(k, -1), "7")
    equal(client.linsert(k, "BEFORE", "5", "4.5"), 8)
    equal(client.lset(k, 0, "one"), True)
    equal(client.lrem(k, 1, "4.5"), 1)
    equal(client.lpos(k, "3"), 2)
    equal(client.lmove(k, other, "LEFT", "RIGHT"), "one")
    equal(client.rpoplpush(k, other), "7")
    equal(client.lrange(other, 0, -1), ["7", "one"])
    equal(client.lmpop(2, k, other, direction="LEFT", count=2), [k, ["2", "3"]])
    equal(client.ltrim(k, 1, -1), True)
    equal(client.lrange(k, 0, -1), ["5", "6"])
    equal(client.llen(key("none")), 0)
    equal(client.lpop(key("none"), 2), None)


def sets(client):
    a, b, c = key("a", "s"), key("b", "s"), key("c", "s")
    equal(client.sadd(a, "x", "y", "z"), 3)
    equal(client.sadd(b, "y", "z", "w"), 3)
    equal(set(client.smembers(a)), {"x", "y", "z"})
    equal(set(client.sinter(a, b)), {"y", "z"})
    equal(set(client.sunion(a, b)), {"x", "y", "z", "w"})
    equal(set(client.sdiff(a, b)), {"x"})
    equal(client.sinterstore(c, a, b), 2)
    equal(client.sintercard(2, [a, b], limit=1), 1)
    equal(bool(client.sismember(c, "y")), True)
    equal([bool(found) for found in client.smismember(c, "y", "x")], [True, False])
    equal(bool(client.smove(a, c, "x")), True)
    equal(client.scard(c), 3)
    equal(set(client.sscan_iter(c)), {"x", "y", "z"})
    equal(set(client.srandmember(c, 10)), {"x", "y", "z"})
    equal(set(client.spop(c, 10)), {"x", "y", "z"})
    equal(client.exists(c), 0)
    equal(client.srem(b, "w", "none"), 1)


def sorted_sets(client):
    k, other = key("zset", "z"), key("other", "z")
    equal(client.zadd(k, {"a": 1, "b": 2.5, "c": float("inf")}), 3)
    equal(client.zscore(k, "b"), 2.5)
    equal(client.zscore(k, "c"), float("inf"))
    equal(client.zincrby(k, 0.5, "b"), 3.0)
    equal([tuple(pair) for pair in client.zrange(k, 0, -1, withscores=True)], [("a", 1.0), ("b", 3.0), ("c", float("inf"))])
    equal(client.zrange(k, "-inf", "(3", byscore=True), ["a"])
    equal(client.zrevrange(k, 0, 0), ["c"])
    equal(client.zrangebyscore(k, 1, 3), ["a", "b"])
    equal(client.zcount(k, "(1", "+inf"), 2)
    equal(client.zrank(k, "c"), 2)
    equal(client.zrevrank(k, "none"), None)
    equal(client.zmscore(k, ["a", "none"]), [1.0, None])
    equal(client.zadd(k, {"a": 5}, incr=True), 6.0)
    equal(client.zadd(k, {"a": 2}, gt=True, ch=True), 0)
    equal(client.zadd(other, {"b": 1, "d": 4}), 2)
    equal(client.zunionstore(key("union", "z"), {k: 2, other: 3}, aggregate="MAX"), 4)
    equal(client.zscore(key("union", "z"), "d"), 12.0)
    equal(client.zinter([k, other]), ["b"])
    equal(client.zdiff([other, k]), ["d"])
    equal(list(client.zscan_iter(other))[0], ("b", 1.0))
    equal([list(pair) for pair in client.zpopmin(other)] if PROTOCOL == 2 else client.zpopmin(other), [["b", 1.0]] if PROTOCOL == 2 else ["b", 1.0])
    equal(client.zremrangebyscore(k, 0, 4), 1)
    equal(client.zrem(k, "a", "none"), 1)
    equal(client.zcard(k), 1)
    lex = key("lex")
    client.zadd(lex, {name: 0 for name in "abcdef"})
    equal(client.zrangebylex(lex, "[b", "(e"), ["b", "c", "d"])
    equal(client.zlexcount(lex, "-", "+"), 6)


def keys(client):
    k, renamed = key("key", "k"), key("renamed", "k")
    client.set(k, "v")
    equal(client.type(k), "string")
    equal(client.expire(k, 1000), True)
    equal(client.expire(k, 10, gt=True), False)
    equal(client.pexpireat(k, 4102444800123), True)
    equal(client.pexpiretime(k), 4102444800123)
    equal(client.rename(k, renamed), True)
    equal(client.pexpiretime(renamed), 4102444800123)
    equal(client.persist(renamed), True)
    equal(client.ttl(renamed), -1)
    equal(client.ttl(key("none")), -2)
    equal(client.renamenx(renamed, renamed), False)
    raises(redis.ResponseError, "no such key", lambda: client.rename(key("none", "k"), k))
    equal(client.set(k, "v", px=30), True)
    time.sleep(0.06)
    equal(client.get(k), None)
    assert isinstance(client.object("idletime", renamed), int)


def every_key_is_scanned_once_at_least(client):
    wanted = {key(f"scan:{i}") for i in range(1000)}
    pipe = client.pipeline(transaction=False)
    for name in wanted:
        pipe.set(name, 1)
    equal(pipe.execute(), [True] * 1000)
    equal(set(client.scan_iter(match=f"{RUN}:scan:*", count=50)), wanted)
    equal(set(client.scan_iter(match=f"{RUN}:scan:*", _type="string")), wanted)
    equal(list(client.scan_iter(match=f"{RUN}:scan:*", _type="hash")), [])
    equal(set(client.keys(f"{RUN}:scan:*")), wanted)
    assert client.dbsize() >= 1000
    assert isinstance(client.randomkey(), str)
    equal(client.delete(*wanted), 1000)


def pipelines(client):
    pipe = client.pipeline(transaction=False)
    names = [key(f"pipe:{i % 7}") for i in range(3000)]
    for name in names:
        pipe.incr(name)
    counts = {}
    wanted = []
    for name in names:
        counts[name] = counts.get(name, 0) + 1
        wanted.append(counts[name])
    equal(pipe.execute(), wanted)
    client.set(key("text"), "text")
    pipe = client.pipeline(transaction=False)
    pipe.set(key("before"), 1).incr(key("text")).set(key("after"), 2)
    replies = pipe.execute(raise_on_error=False)
    equal((replies[0], replies[2]), (True, True))
    assert isinstance(replies[1], redis.ResponseError), replies
    equal(client.mget(key("before"), key("after")), ["1", "2"])


def transactions(client):
    k = key("tx", "x")
    with client.pipeline() as pipe:
        pipe.set(k, 1).incr(k).get(k).hset(key("hash", "x"), "f", "v").hgetall(key("hash", "x"))
        equal(pipe.execute(), [True, 2, "2", 1, {"f": "v"}])
    other = connect()
    with client.pipeline() as pipe:
        pipe.watch(k)
        other.set(k, "theirs")
        pipe.multi()
        pipe.set(k, "mine")
        raises(redis.WatchError, "", pipe.execute)
    equal(client.get(k), "theirs")
    client.set(k, 0)

    def add_one(pipe):
        now = int(pipe.get(k))
        pipe.multi()
        pipe.set(k, now + 1)

    def work():
        mine = connect()
        for _ in range(20):
            mine.transaction(add_one, k)
        mine.close()

    run_together(work, 4)
    equal(client.get(k), "80")
    with client.pipeline() as pipe:
        pipe.set(k, "v").lpush(k, "x").get(k)
        replies = pipe.execute(raise_on_error=False)
    equal((replies[0], replies[2]), (True, "v"))
    assert isinstance(replies[1], redis.ResponseError), replies
    other.close()


def blocking(client):
    k, other = key("queue", "b"), key("other", "b")
    with ThreadPoolExecutor() as waiting:
        taken = waiting.submit(lambda: connect().blpop([k, other], timeout=10))
        client.rpush(other, "job")
        equal(list(taken.result()), [other, "job"])
    begin = time.monotonic()
    equal(client.blpop([k], timeout=0.2), None)
    assert 0.19 <= time.monotonic() - begin < 3
    client.rpush(k, 1, 2, 3)
    equal(client.blmove(k, other, 1, "LEFT", "RIGHT"), "1")
    equal(list(client.brpop(k, 1)), [k, "3"])
    equal(client.brpoplpush(k, other, 1), "2")
    equal(client.blmpop(1, 2, k, other, direction="RIGHT", count=5), [other, ["1", "2"]])
    client.zadd(key("z", "b"), {"a": 1, "b": 2})
    equal(list(client.bzpopmin(key("z", "b"), 1)), [key("z", "b"), "a", 1.0])
    equal(list(client.bzpopmax([key("z", "b")], 1)), [key("z", "b"), "b", 2.0])
    jobs = 200
    done = []

    def worker():
        mine = connect()
        while (job := mine.blpop(k, timeout=10)) and job[1] != "stop":
            done.append(int(job[1]))
        mine.close()

    def feed():
        for job in range(jobs):
            client.rpush(k, job)
        client.rpush(k, "stop", "stop", "stop")

    with ThreadPoolExecutor() as feeding:
        fed = feeding.submit(feed)
        run_together(worker, 3)
        fed.result()
    equal(sorted(done), list(range(jobs)))


def pools_and_health_checks(client):
    pool = redis.BlockingConnectionPool(
        host=HOST, port=int(PORT), protocol=PROTOCOL, max_connections=4, timeout=20, decode_responses=True, health_check_interval=1, client_name="pooled"
    )
    shared = redis.Redis(connection_pool=pool)
    k = key("pool")

    def work():
        for _ in range(100):
            shared.incr(k)

    run_together(work, 8)
    equal(shared.get(k), "800")
    equal(shared.client_getname(), "pooled")
    time.sleep(1.1)
    equal(shared.get(k), "800")
    pool.disconnect()
    equal(shared.get(k), "800")
    equal(redis.Redis.from_url(f"redis://{HOST}:{PORT}/1?protocol={PROTOCOL}").exists(k), 0)
    pool.disconnect()


def databases(client):
    k = key("db")
    one = connect(db=1)
    client.set(k, "zero")
    equal(one.get(k), None)
    one.set(k, "one")
    equal(client.get(k), "zero")
    equal(one.get(k), "one")
    one.delete(k)
    one.close()


def the_server(client):
    equal(client.ping(), True)
    equal(client.echo("hi"), "hi")
    assert client.info()["redis_version"]
    assert client.info("server")["redis_mode"]
    assert isinstance(client.client_id(), int)
    equal(client.client_setname("me"), True)
    equal(client.client_getname(), "me")
    assert any(entry["name"] == "me" for entry in client.client_list())
    assert isinstance(client.config_get("maxmemory"), dict)
    assert isinstance(client.slowlog_get(), list)
    assert abs(client.time()[0] - time.time()) < 60
    assert client.command_count() > 100
    assert "get" in client.command()
    equal(client.execute_command("COMMAND GETKEYS", "MSET", "a", "1", "b", "2"), ["a", "b"])
    raises(redis.ResponseError, "unknown command", lambda: client.execute_command("NONSENSE"))
    raises(redis.ResponseError, "wrong number of arguments", lambda: client.execute_command("GET"))


def without_retries(client):
    strict = connect(retry=Retry(NoBackoff(), 0), single_connection_client=True)
    for i in range(200):
        equal(strict.set(key("strict"), i), True)
        equal(strict.get(key("strict")), str(i))
    strict.close()


def hyperloglog(client):
    a, b = key("a", "h"), key("b", "h")
    equal(client.pfadd(a, *range(100)), 1)
    equal(client.pfadd(a, 5), 0)
    equal(client.pfadd(b, *range(50, 150)), 1)
    assert 97 <= client.pfcount(a) <= 103
    equal(client.pfmerge(b, a), True)
    assert 145 <= client.pfcount(a, b) <= 155


def asyncio_too(client):
    async def work():
        mine = redis.asyncio.Redis(host=HOST, port=int(PORT), protocol=PROTOCOL, decode_responses=True)
        k = key("asyncio", "a")
        await asyncio.gather(*(mine.incr(k) for _ in range(50)))
        equal(await mine.get(k), "50")
        async with mine.pipeline(transaction=True) as pipe:
            equal(await pipe.incr(k).set(key("other", "a"), "v").execute(), [51, True])
        names = [name async for name in mine.scan_iter(match=f"{RUN}:{{a}}:*")]
        equal(sorted(names), sorted([k, key("other", "a")]))
        await mine.aclose()

    asyncio.run(work())


def run_together(work, threads):
    """Runs it in several threads; the first failure of any is raised."""
    with ThreadPoolExecutor(threads) as pool:
        for running in [pool.submit(work) for _ in range(threads)]:
            running.result()


BEHAVIOURS = [
    strings, bitmaps, many_keys_in_many_slots, binary, hashes, lists, sets, sorted_sets, keys, every_key_is_scanned_once_at_least, pipelines, transactions,
    blocking, pools_and_health_checks, databases, the_server, without_retries, hyperloglog, asyncio_too,
]  # fmt: skip


def main():
    failed = 0
    client = connect()
    for behaviour in BEHAVIOURS:
        try:
            behaviour(client)
        except Exception as error:  # noqa: BLE001: reported, and the next one is tried
            failed += 1
            line = error.__traceback__.tb_next.tb_lineno
            print(f"  {behaviour.__name__}, line {line}: {type(error).__name__}: {error}")
    cleaner = connect(decode_responses=False)
    for name in cleaner.scan_iter(match=f"{RUN}*", count=1000):
        cleaner.delete(name)
    print(f"  redis-py {redis.__version__}, RESP{PROTOCOL}: {len(BEHAVIOURS) - failed} of {len(BEHAVIOURS)} behaviours")
    sys.exit(1 if failed else 0)


main()
