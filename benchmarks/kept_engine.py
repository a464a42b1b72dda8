"""An engine whose answers are kept in a file, so that what a model said once need not be computed for each new rule."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmarks.engine import running_at
from lorebook_api.asking import AdapterUse, Sampling, Usage
from lorebook_api.home import find_home
from lorebook_daemon.engine.process import EngineProcess
from lorebook_daemon.engine.protocol import ASKING, AnyPrompt, Finished, Prompt, Token, Turn
from lorebook_daemon.models.shelf import LocalModel


class KeptEngine:
    """Judges, scores and generates as the engine of a model does, which is started once something is new.

    Use it as an asynchronous context manager. Adapters take no part.
    """

    def __init__(self, model: LocalModel, file: Path) -> None:
        """Keep what is said in `file`, and the KV of passages in a folder beside it."""
        self.model = model.name
        self._model, self._folder = model, file.parent
        file.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(file, isolation_level=None)
        self._db.execute("CREATE TABLE IF NOT EXISTS kept (key TEXT PRIMARY KEY, value TEXT NOT NULL)")
        self._stack = AsyncExitStack()
        self._engine: EngineProcess | None = None

    async def __aenter__(self) -> KeptEngine:
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self._stack.aclose()
        self._db.close()

    async def judge(
        self, prompts: Sequence[Prompt], adapters: tuple[AdapterUse, ...] = (), turn: Turn = ASKING
    ) -> list[float]:
        """Return logit(Yes) - logit(No) for each prompt."""
        return await self._each("judge", prompts, "", lambda engine, new: engine.judge(new))

    async def likelihood(
        self, prompts: Sequence[Prompt], text: str, adapters: tuple[AdapterUse, ...] = (), turn: Turn = ASKING
    ) -> list[float]:
        """Return the mean log-probability of the tokens of `text` after each prompt."""
        return await self._each("likelihood", prompts, text, lambda engine, new: engine.likelihood(new, text))

    async def generate(
        self,
        prompt: AnyPrompt,
        sampling: Sampling,
        max_tokens: int,
        adapters: tuple[AdapterUse, ...] = (),
        turn: Turn = ASKING,
    ) -> AsyncGenerator[Token | Finished, None]:
        """Yield the whole text at once, then its end."""
        key = self._key("generate", prompt, json.dumps([asdict(sampling), max_tokens]))
        text = self._known(key)
        if text is None:
            engine = await self._started()
            async with aclosing(engine.generate(prompt, sampling, max_tokens)) as pieces:
                text = "".join([piece.text async for piece in pieces if isinstance(piece, Token)])
            self._keep(key, text)
        yield Token(text)
        yield Finished("stop", Usage(), 0.0, 0.0)

    async def _each(
        self,
        what: str,
        prompts: Sequence[Prompt],
        text: str,
        ask: Callable[[EngineProcess, list[Prompt]], Awaitable[list[float]]],
    ) -> list[float]:
        keys = [self._key(what, prompt, text) for prompt in prompts]
        new = {key: prompt for key, prompt in zip(keys, prompts, strict=True) if self._known(key) is None}
        if new:
            values = await ask(await self._started(), list(new.values()))
            for key, value in zip(new, values, strict=True):
                self._keep(key, value)
        return [float(self._known(key)) for key in keys]

    def _key(self, what: str, prompt: AnyPrompt, text: str) -> str:
        whole = json.dumps([self.model, what, asdict(prompt), text])
        return hashlib.sha256(whole.encode()).hexdigest()

    def _known(self, key: str) -> Any:
        row = self._db.execute("SELECT value FROM kept WHERE key = ?", (key,)).fetchone()
        return None if row is None else json.loads(row[0])

    def _keep(self, key: str, value: str | float) -> None:
        self._db.execute("INSERT OR REPLACE INTO kept VALUES (?, ?)", (key, json.dumps(value)))

    async def _started(self) -> EngineProcess:
        if self._engine is None:
            home = replace(find_home().make(), cache=self._folder / "cache")
            self._engine = await self._stack.enter_async_context(running_at(home, self._model))
        return self._engine
