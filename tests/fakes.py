"""Stand-ins shared by the tests: an engine that answers from its passages, an embedder that hashes words."""

from __future__ import annotations

import asyncio
import hashlib
import math
import re
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lorebook_api.asking import AdapterUse, Sampling, Usage
from lorebook_api.errors import LorebookError
from lorebook_daemon.engine.protocol import (
    ASKING,
    WARMING,
    Alternative,
    AnyPrompt,
    Continued,
    Finished,
    Plain,
    Prompt,
    PromptSize,
    Scored,
    Token,
    Turn,
)

_WORD = re.compile(r"\w+")
_LIKELY, _UNLIKELY = 0.5, 0.125
"""What a fake's token is worth: a word that stood in the prompt before, and a new one."""


def words(text: str) -> list[str]:
    """Return the words of `text` in lower case."""
    return _WORD.findall(text.lower())


def pieces(text: str) -> list[str]:
    """Return the tokens of a fake engine: words with the blanks behind them; joined, they are `text`."""
    return re.findall(r"\s*\S+\s*|\s+", text)


def asked(prompt: AnyPrompt) -> str:
    """Return the last turn of the conversation, or the whole of a plain text."""
    if isinstance(prompt, Plain):
        return prompt.text
    return prompt.messages[-1].content if prompt.messages else ""


@dataclass(frozen=True)
class Call:
    """What a fake engine was asked to do; `sampling` and `max_tokens` are those of `generate`."""

    what: str
    turn: Turn
    adapters: tuple[AdapterUse, ...]
    prompts: tuple[AnyPrompt, ...]
    sampling: Sampling | None = None
    max_tokens: int = 0


class FakeEngine:
    """An Engine whose tokens are words: it answers with the passage line that shares most words with the question.

    `pause_s` passes before each token, so that a test has time to hang up. With no passage the answer is an echo.
    `answer` is a text to answer with whatever is asked; stop texts cut it as they cut a model's. `prompts` are those
    of generations, `calls` is everything it was asked to do; `cancelled` counts generations that were given up,
    `running` those in hand and `together` the most that ever were at once; `closed` tells whether it was ended.
    Passages that it has read are `kept`, and count as cached tokens from then on. `refuses` maps the names of
    adapters to the error that they are answered with.
    """

    def __init__(self, model: str = "fake", n_ctx: int = 8192, pause_s: float = 0.0, answer: str | None = None) -> None:
        self._model = model
        self._n_ctx = n_ctx
        self._pause_s = pause_s
        self._answer = answer
        self._vocabulary: dict[str, int] = {}
        self._adapters: dict[str, None] = {}
        self.prompts: list[AnyPrompt] = []
        self.calls: list[Call] = []
        self.kept: set[str] = set()
        self.refuses: dict[str, LorebookError] = {}
        self.running = 0
        self.together = 0
        self.cancelled = 0
        self.closed = False

    @property
    def model(self) -> str:
        return self._model

    @property
    def n_ctx(self) -> int:
        return self._n_ctx

    async def count(self, prompts: Sequence[AnyPrompt]) -> list[PromptSize]:
        return [self._size(prompt) for prompt in prompts]

    async def generate(
        self,
        prompt: AnyPrompt,
        sampling: Sampling,
        max_tokens: int,
        adapters: tuple[AdapterUse, ...] = (),
        turn: Turn = ASKING,
    ) -> AsyncGenerator[Token | Finished, None]:
        self.prompts.append(prompt)
        self._note(Call("generate", turn, adapters, (prompt,), sampling, max_tokens))
        usage = Usage(self._size(prompt).total, self._keep(prompt))
        reply = pieces(_stopped(self._reply(prompt), sampling.stop))
        with self._in_hand():
            for piece in reply[:max_tokens]:
                await asyncio.sleep(self._pause_s)
                yield Token(piece, self._scored(piece, _LIKELY, sampling.top_logprobs))
        sent = min(len(reply), max_tokens)
        reason = "stop" if sent == len(reply) else "length"
        yield Finished(reason, Usage(usage.prompt_tokens, usage.cached_tokens, sent), 1.0, 1.0)

    async def judge(
        self, prompts: Sequence[Prompt], adapters: tuple[AdapterUse, ...] = (), turn: Turn = ASKING
    ) -> list[float]:
        self._note(Call("judge", turn, adapters, tuple(prompts)))
        await asyncio.sleep(self._pause_s)
        for prompt in prompts:
            self._keep(prompt)
        return [_leaning(prompt) for prompt in prompts]

    async def likelihood(
        self, prompts: Sequence[Prompt], text: str, adapters: tuple[AdapterUse, ...] = (), turn: Turn = ASKING
    ) -> list[float]:
        self._note(Call("likelihood", turn, adapters, tuple(prompts)))
        await asyncio.sleep(self._pause_s)
        for prompt in prompts:
            self._keep(prompt)
        return [_likelihood(prompt, text) for prompt in prompts]

    async def continuations(
        self, prompt: AnyPrompt, texts: Sequence[str], adapters: tuple[AdapterUse, ...] = (), turn: Turn = ASKING
    ) -> list[Continued]:
        """A word that stands in the prompt is likely, any other is not."""
        self._note(Call("continuations", turn, adapters, (prompt,)))
        await asyncio.sleep(self._pause_s)
        known = words(prompt.text if isinstance(prompt, Plain) else prompt.messages[-1].content)
        said = [words(text) for text in texts]
        return [
            Continued(
                sum(math.log(_LIKELY if word in known else _UNLIKELY) for word in text),
                len(text),
                set(text) <= set(known),
            )
            for text in said
        ]

    async def score(
        self, prompt: AnyPrompt, top: int = 0, adapters: tuple[AdapterUse, ...] = (), turn: Turn = ASKING
    ) -> tuple[Scored, ...]:
        self._note(Call("score", turn, adapters, (prompt,)))
        await asyncio.sleep(self._pause_s)
        scored: list[Scored] = []
        for piece in self._pieces(prompt):
            known = any(piece.split() == before.raw.decode().split() for before in scored)
            (one,) = self._scored(piece, _LIKELY if known else _UNLIKELY, top)
            scored.append(one if scored else Scored(one.token, one.raw, 0.0))
        return tuple(scored)

    async def hidden(
        self, texts: Sequence[str], adapters: tuple[AdapterUse, ...] = (), turn: Turn = ASKING
    ) -> list[list[float]]:
        """The number of its words, and whether the first is "bad"."""
        self._note(Call("hidden", turn, adapters, tuple(Plain(text) for text in texts)))
        await asyncio.sleep(self._pause_s)
        return [[float(len(words(text))), float(words(text)[:1] == ["bad"])] for text in texts]

    async def warm(self, prompts: Sequence[Prompt], adapters: tuple[AdapterUse, ...] = (), turn: Turn = WARMING) -> int:
        self._note(Call("warm", turn, adapters, tuple(prompts)))
        await asyncio.sleep(self._pause_s)
        return sum(sum(self._size(prompt).passages) - self._keep(prompt) for prompt in prompts)

    async def forget(self, passages: Sequence[str]) -> int:
        gone = self.kept & set(passages)
        self.kept -= gone
        return len(gone)

    async def load(self, adapter: str) -> None:
        if adapter in self.refuses:
            raise self.refuses[adapter]
        self._adapters[adapter] = None

    async def unload(self, adapter: str) -> None:
        self._adapters.pop(adapter, None)

    async def loaded(self) -> tuple[str, ...]:
        return tuple(self._adapters)

    async def close(self) -> None:
        self.closed = True

    def text(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens that this engine has told of; others show their number."""
        known = {token: piece for piece, token in self._vocabulary.items()}
        return "".join(known.get(token, f"<{token}>") for token in tokens)

    def _note(self, call: Call) -> None:
        self.calls.append(call)
        for adapter in call.adapters:
            if adapter.name in self.refuses:
                raise self.refuses[adapter.name]
            self._adapters[adapter.name] = None

    @contextmanager
    def _in_hand(self) -> Iterator[None]:
        self.running += 1
        self.together = max(self.together, self.running)
        whole = False
        try:
            yield
            whole = True
        finally:
            self.running -= 1
            self.cancelled += not whole

    def _keep(self, prompt: AnyPrompt) -> int:
        """Keep the prompt's passages; return how many of their tokens were kept before."""
        passages = () if isinstance(prompt, Plain) else prompt.passages
        cached = sum(len(pieces(passage)) for passage in passages if passage in self.kept)
        self.kept.update(passages)
        return cached

    def _size(self, prompt: AnyPrompt) -> PromptSize:
        if isinstance(prompt, Plain):
            return PromptSize(len(self._pieces(prompt)), ())
        rest = sum(len(pieces(message.content)) for message in prompt.messages)
        return PromptSize(rest, tuple(len(pieces(passage)) for passage in prompt.passages))

    def _pieces(self, prompt: AnyPrompt) -> list[str]:
        if isinstance(prompt, Plain):
            return [self.text([token]) for token in prompt.tokens] or pieces(prompt.text)
        before = [message.content for message in prompt.messages[:-1]]
        return [piece for text in (*before, *prompt.passages, asked(prompt)) for piece in pieces(text)]

    def _token(self, piece: str) -> int:
        return self._vocabulary.setdefault(piece, len(self._vocabulary))

    def _scored(self, piece: str, probability: float, top: int | None) -> tuple[Scored, ...]:
        """Return one token for `piece`, and the likeliest ones at its place: itself where it is likely, then others."""
        if top is None:
            return ()
        itself = Alternative(self._token(piece), piece.encode(), math.log(probability))
        others = [
            Alternative(self._token(f"other{n} "), b"other%d " % n, math.log(2.0 ** -(n + 1)))
            for n in range(1, top + 2)
        ]
        likeliest = sorted([itself, *others], key=lambda one: -one.logprob)[:top]
        return (Scored(itself.token, itself.raw, itself.logprob, tuple(likeliest)),)

    def _reply(self, prompt: AnyPrompt) -> str:
        if self._answer is not None:
            return self._answer
        if isinstance(prompt, Plain):
            return f"You said: {prompt.text or self.text(prompt.tokens)}"
        question = asked(prompt)
        lines = [line for passage in prompt.passages for line in passage.splitlines() if words(line)]
        if not lines:
            return f"You asked: {question}"
        wanted = set(words(question))
        return max(lines, key=lambda line: len(wanted & set(words(line)))).strip()


def _stopped(text: str, stop: Sequence[str]) -> str:
    """Return `text` up to the first of the stop texts."""
    return text[: min((text.index(one) for one in stop if one in text), default=len(text))]


def _leaning(prompt: Prompt) -> float:
    wanted = set(words(asked(prompt)))
    found = {word for passage in prompt.passages for word in words(passage)}
    return 8.0 * len(wanted & found) / max(1, len(wanted)) - 2.0


def _likelihood(prompt: Prompt, text: str) -> float:
    known = {word for passage in prompt.passages for word in words(passage)}
    said = words(text)
    return sum(math.log(_LIKELY if word in known else _UNLIKELY) for word in said) / max(1, len(said))


class HashEmbedder:
    """An Embedder without a model: each word adds its own pseudo-random direction."""

    identity = "hash-embedder"

    def __init__(self, dimensions: int = 64) -> None:
        self.dimensions = dimensions

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        matrix = np.stack([self._one(text) for text in texts]) if texts else np.zeros((0, self.dimensions))
        norms = np.linalg.norm(matrix, axis=1, keepdims=True)
        return (matrix / np.maximum(norms, 1e-9)).astype(np.float32)

    def count(self, texts: Sequence[str]) -> int:
        return sum(len(words(text)) for text in texts)

    def _one(self, text: str) -> npt.NDArray[np.float64]:
        total = np.full(self.dimensions, 1e-3)
        for word in words(text):
            seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "little")
            total += np.random.default_rng(seed).standard_normal(self.dimensions)
        return total
