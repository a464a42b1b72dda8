"""What the rest of the daemon knows of an engine: prompts in, text, log-probabilities and yes-or-no scores out."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal, Protocol

from lorebook_api.asking import AdapterUse, Sampling, Usage


class Priority(IntEnum):
    """How urgent a request is: a lower number goes before a higher one."""

    ask = 0
    complete = 1
    eval = 2
    warm = 3


@dataclass(frozen=True)
class Turn:
    """Whose request it is and how urgent: within a priority, users get the same share of the engine."""

    priority: Priority = Priority.ask
    user: str = ""


@dataclass(frozen=True)
class ToolCall:
    """A function that the model wanted called; `arguments` is JSON, as the model wrote it."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True)
class Message:
    """One turn of a conversation; a `tool` turn gives the result of the call `tool_call_id`."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""


@dataclass(frozen=True)
class Prompt:
    """A conversation, and the passages that stand at the start of its last turn.

    Each passage is read by itself after everything before it, so that its KV can be kept and used again in
    any order and beside any others. No content can act as a control token. `tools` are the functions that the model
    may call, each the JSON of OpenAI's `{"type": "function", "function": {…}}`.
    """

    messages: tuple[Message, ...]
    passages: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plain:
    """Text, or tokens where there are some, to go on with as it stands: control tokens in the text act."""

    text: str = ""
    tokens: tuple[int, ...] = ()


AnyPrompt = Prompt | Plain


@dataclass(frozen=True)
class Alternative:
    """A token that might stand at a place: its bytes (maybe half a character) and its natural log-probability."""

    token: int
    raw: bytes
    logprob: float


@dataclass(frozen=True)
class Scored:
    """The token that stands at a place, and the likeliest ones there; the first of a text has logprob 0.0, no `top`."""

    token: int
    raw: bytes
    logprob: float
    top: tuple[Alternative, ...] = ()


@dataclass(frozen=True)
class Token:
    """A piece of the answer's text, never half a character; `scored` are the tokens it is made of, where asked for."""

    text: str
    scored: tuple[Scored, ...] = ()


@dataclass(frozen=True)
class Finished:
    """The end of a generation; of `drafted` tokens guessed from the prompt, `accepted` were what the model said."""

    reason: Literal["stop", "length"]
    usage: Usage
    prompt_ms: float
    generate_ms: float
    drafted: int = 0
    accepted: int = 0


@dataclass(frozen=True)
class Continued:
    """A text after a prompt: the sum of its tokens' log-probabilities, their number, whether each was the likeliest."""

    logprob: float
    tokens: int
    greedy: bool


@dataclass(frozen=True)
class PromptSize:
    """Tokens of a prompt: of everything but the passages, and of each passage."""

    rest: int
    passages: tuple[int, ...]

    @property
    def total(self) -> int:
        """Tokens of the whole prompt."""
        return self.rest + sum(self.passages)


YES, NO = ("Yes", "yes", " Yes", "YES"), ("No", "no", " No", "NO")
"""How a model may spell the first token of an answer that is judged."""

CALL_MARKS = ("<|python_tag|>", "[TOOL_CALLS]", "[CALL_ID]", "[ARGS]")
"""Control tokens around calls of tools, which an answer's text holds where tools were offered."""

ASKING = Turn()
MEASURING = Turn(Priority.eval)
WARMING = Turn(Priority.warm)


class Engine(Protocol):
    """A loaded model that serves several requests at once.

    Closing an iterator or cancelling a task ends the work in the engine too. All raise EngineDied and EngineFailed;
    those that take adapters NotFound and Unusable, and those that read prompts TooLong.
    """

    @property
    def model(self) -> str:
        """The model's name."""
        ...

    @property
    def n_ctx(self) -> int:
        """Tokens that its context holds."""
        ...

    async def count(self, prompts: Sequence[AnyPrompt]) -> list[PromptSize]:
        """Return how many tokens each prompt takes."""
        ...

    def generate(
        self,
        prompt: AnyPrompt,
        sampling: Sampling,
        max_tokens: int,
        adapters: tuple[AdapterUse, ...] = (),
        turn: Turn = ASKING,
    ) -> AsyncGenerator[Token | Finished, None]:
        """Yield the answer piece by piece, then Finished."""
        ...

    async def judge(
        self, prompts: Sequence[Prompt], adapters: tuple[AdapterUse, ...] = (), turn: Turn = ASKING
    ) -> list[float]:
        """Return logit(Yes) - logit(No) of the first token of the answer to each prompt."""
        ...

    async def likelihood(
        self, prompts: Sequence[Prompt], text: str, adapters: tuple[AdapterUse, ...] = (), turn: Turn = ASKING
    ) -> list[float]:
        """Return the mean log-probability of the tokens of `text` as the beginning of the answer to each prompt.

        Passages are read apart, as for `judge`. An empty text has 0.0.
        """
        ...

    async def continuations(
        self, prompt: AnyPrompt, texts: Sequence[str], adapters: tuple[AdapterUse, ...] = (), turn: Turn = ASKING
    ) -> list[Continued]:
        """Return how likely each text is right after the prompt, which is read once for all of them.

        After a plain prompt the tokens are those of both written together, less as many as the prompt has alone, as
        lm-eval parts them; after a conversation, those of the text. A text that adds no token has 0.0.
        """
        ...

    async def score(
        self, prompt: AnyPrompt, top: int = 0, adapters: tuple[AdapterUse, ...] = (), turn: Turn = ASKING
    ) -> tuple[Scored, ...]:
        """Return each token of the prompt with its log-probability after those before it, and the `top` likeliest."""
        ...

    async def hidden(
        self, texts: Sequence[str], adapters: tuple[AdapterUse, ...] = (), turn: Turn = ASKING
    ) -> list[list[float]]:
        """Return what the model makes of each text at its end, as numbers that a classifier is trained on.

        It is the hidden state, after the last norm, of the token that ends a turn, read right after the text.
        """
        ...

    async def warm(self, prompts: Sequence[Prompt], adapters: tuple[AdapterUse, ...] = (), turn: Turn = WARMING) -> int:
        """Read the prompts' passages ahead of a question; return how many tokens that took."""
        ...

    async def forget(self, passages: Sequence[str]) -> int:
        """Drop what is kept of these passages, in memory and on disk; return how many readings of them there were."""
        ...

    async def load(self, adapter: str) -> None:
        """Have an adapter in memory; raises Unusable, with the reason, where it does not fit the model."""
        ...

    async def unload(self, adapter: str) -> None:
        """Drop an adapter from memory; one that is in use is dropped after that."""
        ...

    async def loaded(self) -> tuple[str, ...]:
        """Return the names of the adapters in memory."""
        ...
