"""What the rest of the daemon knows of an engine: prompts in, text and yes-or-no scores out."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from lorebook_api.schema import AdapterUse, Sampling, Usage


@dataclass(frozen=True)
class Message:
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True)
class Prompt:
    """A conversation that ends with a user's turn, and the passages that stand at the start of that turn.

    Each passage is read by itself after everything before it, so that its KV can be kept and used again in
    any order and beside any others. No content can act as a control token.
    """

    messages: tuple[Message, ...]
    passages: tuple[str, ...] = ()


@dataclass(frozen=True)
class Token:
    """A piece of the answer's text, never half a character."""

    text: str


@dataclass(frozen=True)
class Finished:
    """The end of a generation."""

    reason: Literal["stop", "length"]
    usage: Usage
    prompt_ms: float
    generate_ms: float


class Engine(Protocol):
    """A loaded model. Closing an iterator or cancelling a task ends the work in the engine too."""

    @property
    def model(self) -> str:
        """The model's name."""
        ...

    @property
    def n_ctx(self) -> int:
        """Tokens that its context holds."""
        ...

    async def count(self, prompts: Sequence[Prompt]) -> list[PromptSize]:
        """Return how many tokens each prompt takes."""
        ...

    def generate(
        self, prompt: Prompt, sampling: Sampling, max_tokens: int, adapters: tuple[AdapterUse, ...] = ()
    ) -> AsyncGenerator[Token | Finished, None]:
        """Yield the answer piece by piece, then Finished. Raises TooLong, EngineDied, EngineFailed."""
        ...

    async def judge(self, prompts: Sequence[Prompt], adapters: tuple[AdapterUse, ...] = ()) -> list[float]:
        """Return logit(Yes) - logit(No) of the first token of the answer to each prompt."""
        ...


@dataclass(frozen=True)
class PromptSize:
    """Tokens of a prompt: of everything but the passages, and of each passage."""

    rest: int
    passages: tuple[int, ...]

    @property
    def total(self) -> int:
        """Tokens of the whole prompt."""
        return self.rest + sum(self.passages)
