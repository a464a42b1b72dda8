"""Many items through one engine: a few at a time, with progress; one that fails is listed, the rest goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from lorebook_api.errors import BadRequest, TooLong
from lorebook_api.indexing import Progress

T = TypeVar("T")
R = TypeVar("R")

AT_ONCE = 8
"""Items in hand at a time: the engine reads their prompts in one batch."""

Report = Callable[[Progress], None]


async def pooled(
    work: Callable[[T], Awaitable[R]], items: Sequence[T], stage: str, report: Report, at_once: int = AT_ONCE
) -> list[R | BadRequest | TooLong]:
    """Return what `work` returns for each item, or why the item itself cannot be used, in the order of the items.

    The first item goes alone, so that what all of them begin with is read once and shared. Any other error ends the
    whole: the engine died, or was taken away.
    """
    done = 0
    places = asyncio.Semaphore(at_once)

    async def one(item: T) -> R | BadRequest | TooLong:
        nonlocal done
        async with places:
            try:
                return await work(item)
            except (BadRequest, TooLong) as why:
                return why
            finally:
                done += 1
                report(Progress(stage, done, len(items)))

    if not items:
        return []
    first = await one(items[0])
    tasks = [asyncio.create_task(one(item)) for item in items[1:]]
    try:
        return [first, *await asyncio.gather(*tasks)]
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
