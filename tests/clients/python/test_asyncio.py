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
