"""Writes the questions that passages answer while nobody asks, and has searches look at them (`answer/doc2query`)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from lorebook_api.errors import LorebookError
from lorebook_api.home import Home
from lorebook_daemon.answer.doc2query import Foreseen, Questions, write_questions
from lorebook_daemon.answer.retrieved import Retriever
from lorebook_daemon.engine.protocol import Engine
from lorebook_daemon.index.embed import Embedder


class Ahead:
    """The questions of all roots, opened with the first use of the embedder."""

    def __init__(self, home: Home, embedder: Callable[[], Awaitable[Embedder]]) -> None:
        """Keep the questions in the cache of `home`; `embedder` raises what bringing it raised."""
        self._home, self._embedder = home, embedder
        self._questions: Questions | None = None

    async def missing(self, texts: Sequence[str]) -> list[str]:
        """Return those of the passages for which nothing was written yet. Raises what the embedder raises."""
        questions = await self._opened()
        return await asyncio.to_thread(questions.missing, texts)

    async def write(self, engine: Engine, text: str) -> None:
        """Have the questions of a passage written, and keep them. Raises what the engine raises, and StorageFailed."""
        questions = await self._opened()
        await asyncio.to_thread(questions.put, text, await write_questions(text, engine))

    def looked_at(self, retriever: Retriever) -> Retriever:
        """Return a retriever that looks at the questions too, where there is an embedder."""
        return Foreseen(retriever, self._known)

    async def _known(self) -> Questions | None:
        try:
            return await self._opened()
        except LorebookError:  # the search says by itself that it does without an embedder
            return None

    async def _opened(self) -> Questions:
        if self._questions is None:
            self._questions = Questions(self._home.cache, await self._embedder())
        return self._questions
