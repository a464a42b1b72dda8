"""Several answers side by side: the second and later ones begin once the first has read the prompt for all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import aclosing
from typing import Any

from lorebook_api.asking import AdapterUse, Sampling
from lorebook_api.errors import TooLong
from lorebook_daemon.engine.protocol import AnyPrompt, Engine, Finished, Token, Turn

_AT_ONCE = 8
"""Prompts of one request that are worked on at a time; the engine has no more places, and others want some too."""

Take = Callable[[int, Token | Finished], None]
"""Hears what answer number so and so says."""


class Choices:
    """Answers prompts with the adapters and the turn of one request."""

    def __init__(self, engine: Engine, adapters: tuple[AdapterUse, ...], turn: Turn) -> None:
        self.engine = engine
        self.adapters = adapters
        self.turn = turn

    async def room(self, prompt: AnyPrompt, most: int | None) -> int:
        """Return how many tokens an answer may have: `most`, or what the context holds beside the prompt.

        Raises TooLong where the prompt leaves none.
        """
        if most is not None:
            return most
        (size,) = await self.engine.count([prompt])
        if size.total >= self.engine.n_ctx:
            message = f"The prompt takes {size.total} tokens; the context holds {self.engine.n_ctx}."
            raise TooLong(message, "Send a shorter one, or set a larger context: LOREBOOK_N_CTX.")
        return self.engine.n_ctx - size.total

    async def answer(self, prompt: AnyPrompt, samplings: Sequence[Sampling], most: int, take: Take) -> None:
        """Make one answer for each way of drawing; `take` hears their pieces, numbered from 0."""
        begun = asyncio.Event()

        async def say(number: int, sampling: Sampling) -> None:
            if number:
                await begun.wait()
            async with aclosing(self.engine.generate(prompt, sampling, most, self.adapters, self.turn)) as pieces:
                async for piece in pieces:
                    take(number, piece)
                    begun.set()

        await together(say(number, sampling) for number, sampling in enumerate(samplings))


async def together(works: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Do all of it side by side; where one fails, end the others and raise its error."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def a_few_at_a_time(works: Iterable[Callable[[], Coroutine[Any, Any, None]]]) -> None:
    """Do all of it, so many at a time as one request may; where one fails, end the others and raise its error."""
    places = asyncio.Semaphore(_AT_ONCE)

    async def placed(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        async with places:
            await work()

    await together(placed(work) for work in works)
