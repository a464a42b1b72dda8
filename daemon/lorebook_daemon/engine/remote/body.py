"""What OpenAI-compatible servers are sent and what they send, between their JSON and the engine's own nouns."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from pydantic import TypeAdapter

from lorebook_api.asking import Sampling, Usage
from lorebook_daemon.engine.protocol import Alternative, Message, Prompt, Scored

T = TypeVar("T")

UNKNOWN = -1
"""The token's number where a server tells only its text."""
_LEAST = -9999.0
"""A log-probability for what a server says null to, vLLM's own floor."""
_JOINER = "\u2060"
_CONTROL = re.compile(
    r"<(?=[|｜][^<>\s]{1,40}[|｜]>|/?(?:s|bos|eos|(?:start|end)_of_[a-z]+)>)"
    r"|\[(?=/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_CONTENT|TOOL_RESULTS)\])"
)
"""The first sign of a control token: <|im_end|>, <｜User｜>, </s>, <start_of_turn>, [INST] and their like."""


@dataclass(frozen=True)
class WireLogprob:
    """A token at its place; `id` is llama-server's."""

    token: str
    logprob: float | None = None
    bytes: tuple[int, ...] | None = None
    id: int = UNKNOWN
    top_logprobs: tuple[WireLogprob, ...] | None = None


@dataclass(frozen=True)
class WireLogprobs:
    """Log-probabilities as chat completions have them (`content`) or as text completions do."""

    content: tuple[WireLogprob, ...] | None = None
    tokens: tuple[str, ...] | None = None
    token_logprobs: tuple[float | None, ...] | None = None
    top_logprobs: tuple[dict[str, float | None] | None, ...] | None = None


@dataclass(frozen=True)
class WireFunction:
    """A function that the model calls, or a further piece of its arguments."""

    name: str | None = None
    arguments: str | None = None


@dataclass(frozen=True)
class WireCall:
    """A call, or a further piece of the call with the same index."""

    function: WireFunction = WireFunction()
    index: int = 0
    id: str | None = None


@dataclass(frozen=True)
class WireMessage:
    """What the model says, or a further piece of it."""

    content: str | None = None
    tool_calls: tuple[WireCall, ...] | None = None


@dataclass(frozen=True)
class WireChoice:
    """One answer, or a further piece of it."""

    text: str | None = None
    delta: WireMessage | None = None
    message: WireMessage | None = None
    logprobs: WireLogprobs | None = None
    finish_reason: str | None = None


@dataclass(frozen=True)
class WireDetails:
    """What the prompt's tokens were."""

    cached_tokens: int | None = None


@dataclass(frozen=True)
class WireUsage:
    """Tokens."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: WireDetails | None = None


@dataclass(frozen=True)
class WireTimings:
    """Milliseconds and drafted tokens, which llama-server tells."""

    prompt_ms: float
    predicted_ms: float
    draft_n: int = 0
    draft_n_accepted: int = 0


@dataclass(frozen=True)
class WireAnswer:
    """A whole answer or one event of it."""

    choices: tuple[WireChoice, ...] = ()
    usage: WireUsage | None = None
    timings: WireTimings | None = None
    error: Any = None


@cache
def _reader(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def answer_of(body: Any) -> WireAnswer:
    """Return the answer in a body; raises ValueError where it has another shape."""
    answer: WireAnswer = _reader(WireAnswer).validate_python(body)
    return answer


def event_of(data: str) -> WireAnswer:
    """Return the answer in an event's data; raises ValueError where it has another shape."""
    answer: WireAnswer = _reader(WireAnswer).validate_json(data)
    return answer


def rows_of(kind: type[T], body: Any) -> tuple[T, ...]:
    """Return the rows of a list; raises ValueError where it has another shape."""
    rows: tuple[T, ...] = _reader(tuple[kind, ...]).validate_python(body)  # type: ignore[valid-type]
    return rows


def usage_of(wire: WireUsage | None) -> Usage:
    """Return the usage, all 0 where the server tells none."""
    if wire is None:
        return Usage()
    cached = wire.prompt_tokens_details.cached_tokens if wire.prompt_tokens_details else None
    return Usage(wire.prompt_tokens, cached or 0, wire.completion_tokens)


def scored_of(wire: WireLogprobs | None, top: int) -> tuple[Scored, ...]:
    """Return the tokens with the `top` likeliest at each place; a token without a log-probability is a text's first.

    Text completions tell tokens as text alone: `raw` is then that text in UTF-8, where half a character is U+FFFD.
    """
    if wire is None:
        return ()
    if wire.content is not None:
        return tuple(_scored(one, top) for one in wire.content)
    tokens = wire.tokens or ()
    logprobs = wire.token_logprobs or (None,) * len(tokens)
    likeliest = wire.top_logprobs or (None,) * len(tokens)
    return tuple(
        Scored(UNKNOWN, token.encode(), _number(logprob), _alternatives(others or {}, top))
        if logprob is not None
        else Scored(UNKNOWN, token.encode(), 0.0)
        for token, logprob, others in zip(tokens, logprobs, likeliest, strict=True)
    )


def _scored(wire: WireLogprob, top: int) -> Scored:
    others = sorted(wire.top_logprobs or (), key=lambda other: -_number(other.logprob))[:top]
    alternatives = tuple(Alternative(other.id, _raw(other), _number(other.logprob)) for other in others)
    return Scored(wire.id, _raw(wire), _number(wire.logprob), alternatives)


def _alternatives(others: dict[str, float | None], top: int) -> tuple[Alternative, ...]:
    likeliest = sorted(others.items(), key=lambda other: -_number(other[1]))[:top]
    return tuple(Alternative(UNKNOWN, token.encode(), _number(logprob)) for token, logprob in likeliest)


def _raw(wire: WireLogprob) -> bytes:
    return wire.token.encode() if wire.bytes is None else bytes(wire.bytes)


def _number(logprob: float | None) -> float:
    return _LEAST if logprob is None else max(logprob, _LEAST)


def chat_of(prompt: Prompt) -> dict[str, Any]:
    """Return the conversation as chat completions take it: the passages stand at the start of the last turn.

    The server writes control tokens around each content, and would obey one inside: what looks like one gets an
    invisible U+2060 after its first sign, and is then text to every tokenizer.
    """
    messages = [_message(message) for message in prompt.messages]
    if prompt.passages:
        last = messages[-1] if messages else {"role": "user", "content": ""}
        passages = "".join(map(_harmless, prompt.passages))
        messages[-1:] = [{**last, "content": f"{passages}{last['content']}"}]
    tools = {"tools": [json.loads(tool) for tool in prompt.tools]} if prompt.tools else {}
    return {"messages": messages, **tools}


def _message(message: Message) -> dict[str, Any]:
    said: dict[str, Any] = {"role": message.role, "content": _harmless(message.content)}
    if message.tool_calls:
        said["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    if message.tool_call_id:
        said["tool_call_id"] = message.tool_call_id
    return said


def _harmless(content: str) -> str:
    return _CONTROL.sub(lambda found: found[0] + _JOINER, content)


def sampling_of(sampling: Sampling) -> dict[str, Any]:
    """Return what every OpenAI-compatible server takes of the sampling; greedy needs little."""
    body: dict[str, Any] = {"temperature": sampling.temperature}
    if sampling.temperature > 0:
        body.update(top_p=sampling.top_p, seed=sampling.seed)
    if sampling.presence_penalty or sampling.frequency_penalty:
        body.update(presence_penalty=sampling.presence_penalty, frequency_penalty=sampling.frequency_penalty)
    stop = [word for word in sampling.stop if word]
    if stop:
        body["stop"] = stop
    if sampling.logit_bias:
        body["logit_bias"] = {str(token): bias for token, bias in sampling.logit_bias}
    return body
