"""Stand-ins shared by the tests: an engine that answers from its passages, an embedder that hashes words."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Sequence

import numpy as np
import numpy.typing as npt

from lorebook_api.schema import AdapterUse, Sampling, Usage
from lorebook_daemon.engine.protocol import Finished, Prompt, PromptSize, Token

_WORD = re.compile(r"\w+")


def words(text: str) -> list[str]:
    """Return the words of `text` in lower case."""
    return _WORD.findall(text.lower())


def asked(prompt: Prompt) -> str:
    """Return the last turn of the conversation."""
    return prompt.messages[-1].content if prompt.messages else ""


class FakeEngine:
    """An Engine whose tokens are words: it answers with the passage line that shares most words with the question.

    `pause_s` passes before each token, so that a test has time to hang up. With no passage the answer is an echo.
    `cancelled` counts generations that were given up, `closed` tells whether the engine was ended.
    """

    def __init__(self, model: str = "fake", n_ctx: int = 8192, pause_s: float = 0.0, answer: str | None = None) -> None:
        self._model = model
        self._n_ctx = n_ctx
        self._pause_s = pause_s
        self._answer = answer
        self.prompts: list[Prompt] = []
        self.cancelled = 0
        self.closed = False

    @property
    def model(self) -> str:
        return self._model

    @property
    def n_ctx(self) -> int:
        return self._n_ctx

    async def count(self, prompts: Sequence[Prompt]) -> list[PromptSize]:
        return [
            PromptSize(
                sum(len(words(message.content)) for message in prompt.messages),
                tuple(len(words(passage)) for passage in prompt.passages),
            )
            for prompt in prompts
        ]

    async def generate(
        self, prompt: Prompt, sampling: Sampling, max_tokens: int, adapters: tuple[AdapterUse, ...] = ()
    ) -> AsyncIterator[Token | Finished]:
        self.prompts.append(prompt)
        (size,) = await self.count([prompt])
        pieces = re.findall(r"\S+\s*", self._answer if self._answer is not None else self._reply(prompt))
        sent = 0
        try:
            for piece in pieces[:max_tokens]:
                await asyncio.sleep(self._pause_s)
                yield Token(piece)
                sent += 1
        finally:
            self.cancelled += sent < min(len(pieces), max_tokens)
        reason = "stop" if len(pieces) <= max_tokens else "length"
        yield Finished(reason, Usage(size.total, 0, sent), 1.0, 1.0)  # type: ignore[arg-type]

    async def judge(self, prompts: Sequence[Prompt], adapters: tuple[AdapterUse, ...] = ()) -> list[float]:
        await asyncio.sleep(self._pause_s)
        return [self._score(prompt) for prompt in prompts]

    async def close(self) -> None:
        self.closed = True

    @staticmethod
    def _reply(prompt: Prompt) -> str:
        question = asked(prompt)
        lines = [line for passage in prompt.passages for line in passage.splitlines() if words(line)]
        if not lines:
            return f"You asked: {question}"
        wanted = set(words(question))
        return max(lines, key=lambda line: len(wanted & set(words(line)))).strip()

    @staticmethod
    def _score(prompt: Prompt) -> float:
        wanted = set(words(asked(prompt)))
        found = {word for passage in prompt.passages for word in words(passage)}
        return 8.0 * len(wanted & found) / max(1, len(wanted)) - 2.0


class HashEmbedder:
    """An Embedder without a model: each word adds its own pseudo-random direction."""

    identity = "hash-embedder"

    def __init__(self, dimensions: int = 64) -> None:
        self.dimensions = dimensions

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        matrix = np.stack([self._one(text) for text in texts]) if texts else np.zeros((0, self.dimensions))
        norms = np.linalg.norm(matrix, axis=1, keepdims=True)
        return (matrix / np.maximum(norms, 1e-9)).astype(np.float32)

    def _one(self, text: str) -> npt.NDArray[np.float64]:
        total = np.full(self.dimensions, 1e-3)
        for word in words(text):
            seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "little")
            total += np.random.default_rng(seed).standard_normal(self.dimensions)
        return total
