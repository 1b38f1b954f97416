"""redis-py under asyncio: many tasks on one pool."""

import asyncio

import redis.asyncio as redis_py


def test_a_thousand_tasks(resp_port):
    async def main():
        pool = redis_py.BlockingConnectionPool(port=resp_port, max_connections=20)
        async with redis_py.Redis.from_pool(pool) as redis:
            await redis.flushall()
            sums = await asyncio.gather(*(redis.incr("n") for _ in range(1000)))
            assert sorted(sums) == list(range(1, 1001))
            async with redis.pipeline(transaction=True) as pipe:
                assert await pipe.set("k", "v").get("k").execute() == [True, b"v"]
            keys = [key async for key in redis.scan_iter(match="*")]
            assert sorted(keys) == [b"k", b"n"]

    asyncio.run(main())


def test_messages_while_others_work(resp_port):
    async def main():
        pool = redis_py.BlockingConnectionPool(port=resp_port, decode_responses=True)
        async with redis_py.Redis.from_pool(pool) as redis:
            heard = []

            async def listen(pubsub):
                async for message in pubsub.listen():
                    if message["type"] == "pmessage":
                        heard.append(message["data"])
                    if message["data"] == "stop":
                        return

            async with redis.pubsub() as pubsub:
                await pubsub.psubscribe("news:*")
                listener = asyncio.create_task(listen(pubsub))
                while await redis.publish("news:1", "begin") == 0:
                    await asyncio.sleep(0.01)
                await asyncio.gather(*(redis.publish("news:2", n) for n in range(100)))
                await redis.publish("news:3", "stop")
                await asyncio.wait_for(listener, 60)
            assert sorted(map(int, heard[1:-1])) == list(range(100))

    asyncio.run(main())


def test_waiting_locks_and_scripts(resp_port):
    async def main():
        async with redis_py.Redis(port=resp_port, decode_responses=True) as redis:
            await redis.flushall()
            popped = [asyncio.create_task(redis.blpop("list", timeout=0)) for _ in range(20)]
            while (await redis.info("clients"))["blocked_clients"] < 20:
                await asyncio.sleep(0.01)
            await redis.rpush("list", *range(20))
            results = await asyncio.wait_for(asyncio.gather(*popped), 60)
            assert sorted(int(value) for _, value in results) == list(range(20))

            rise = redis.register_script("return redis.call('INCRBY', KEYS[1], ARGV[1])")

            async def turn():
                async with redis.lock("lock", timeout=60, sleep=0.002):
                    value = int(await redis.get("n") or 0)
                    await redis.set("n", value + 1)
                await rise(keys=["m"], args=[2])

            await asyncio.gather(*(turn() for _ in range(10)))
            assert await redis.mget("n", "m") == ["10", "20"]

            async def add(pipe):
                value = int(await pipe.get("n"))
                pipe.multi()
                pipe.set("n", value + 1)

            await asyncio.gather(*(redis.transaction(add, "n") for _ in range(10)))
            assert await redis.get("n") == "20"

    asyncio.run(main())


def test_a_task_that_is_cancelled_swallows_nothing(resp_port):
    async def main():
        async with redis_py.Redis(port=resp_port, decode_responses=True) as redis:
            await redis.flushall()
            waits = asyncio.create_task(redis.blpop("list", timeout=0))
            while (await redis.info("clients"))["blocked_clients"] < 1:
                await asyncio.sleep(0.01)
            waits.cancel()
            await asyncio.gather(waits, return_exceptions=True)
            while (await redis.info("clients"))["blocked_clients"] > 0:
                await asyncio.sleep(0.01)
            await redis.rpush("list", "kept")
            assert await redis.lrange("list", 0, -1) == ["kept"]

    asyncio.run(main())
