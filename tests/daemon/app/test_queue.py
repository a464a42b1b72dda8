import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorebook_daemon.app.queue import Priority, Queue

ARRIVALS = st.lists(st.tuples(st.sampled_from(Priority), st.booleans()), max_size=12)


@given(ARRIVALS)
def test_asks_first_then_in_order_of_arrival_without_those_who_left(arrivals):
    """Everyone arrives while the engine is held; some leave before it is free."""
    served = asyncio.run(_serve(arrivals))
    stayed = [(priority, n) for n, (priority, leaves) in enumerate(arrivals) if not leaves]
    assert served == [n for _, n in sorted(stayed)]


async def _serve(arrivals):
    queue, served = Queue(), []

    async def take(n, priority):
        async with queue.turn(priority, str(n)):
            served.append(n)
            await asyncio.sleep(0)

    async with queue.turn(Priority.other, "holder"):
        tasks = []
        for n, (priority, _) in enumerate(arrivals):
            tasks.append(asyncio.create_task(take(n, priority)))
            await asyncio.sleep(0)
        assert queue.depth == len(arrivals) + 1
        for task, (_, leaves) in zip(tasks, arrivals, strict=True):
            if leaves:
                task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert queue.depth == 0
    return served


@given(st.lists(st.tuples(st.sampled_from(["arrive", "cancel", "finish"]), st.integers(0, 5)), max_size=40))
def test_never_two_at_once_and_never_stuck(steps):
    asyncio.run(_storm(steps))


async def _storm(steps):
    queue, inside, finish = Queue(), set(), asyncio.Event()
    tasks = []

    async def take(n):
        async with queue.turn(Priority(n % 2), str(n)):
            inside.add(n)
            assert len(inside) == 1
            try:
                await finish.wait()
            finally:
                inside.discard(n)

    for n, (step, which) in enumerate(steps):
        if step == "arrive":
            tasks.append(asyncio.create_task(take(n)))
        elif step == "cancel" and tasks:
            tasks[which % len(tasks)].cancel()
        elif step == "finish":
            finish.set()
            await asyncio.sleep(0)
            finish.clear()
        if which % 2:
            await asyncio.sleep(0)
    finish.set()
    async with asyncio.timeout(2):
        results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(result is None or isinstance(result, asyncio.CancelledError) for result in results)
    assert queue.depth == 0


def test_one_called_and_cancelled_at_once_hands_the_engine_on():
    async def scene():
        queue, order = Queue(), []

        async def take(name):
            async with queue.turn(Priority.ask, name):
                order.append(name)

        async with queue.turn(Priority.ask, "first"):
            second, third = asyncio.create_task(take("second")), asyncio.create_task(take("third"))
            await asyncio.sleep(0)
            assert queue.waiting == ("second", "third")
        second.cancel()  # its turn was called when the block above was left
        await asyncio.wait_for(third, 1)
        return order

    assert asyncio.run(scene()) == ["third"]


def test_the_engine_is_free_after_an_error():
    async def scene():
        queue = Queue()
        with pytest.raises(ValueError, match="lost"):
            async with queue.turn(Priority.ask, "a"):
                raise ValueError("lost")
        async with asyncio.timeout(1), queue.turn(Priority.ask, "b"):
            return queue.depth

    assert asyncio.run(scene()) == 1
