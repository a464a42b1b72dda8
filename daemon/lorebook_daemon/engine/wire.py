"""What travels over the pipe between the daemon and the engine's process, as JSON, and back into what it was."""

from __future__ import annotations

import dataclasses
from typing import Any

from lorebook_api.asking import Sampling, Usage
from lorebook_daemon.engine.protocol import (
    Alternative,
    AnyPrompt,
    Finished,
    Message,
    Plain,
    Priority,
    Prompt,
    Scored,
    Token,
    ToolCall,
    Turn,
)

JSON = dict[str, Any]


def prompt_out(prompt: AnyPrompt) -> JSON:
    """Return a prompt as JSON."""
    return dataclasses.asdict(prompt)


def prompt_in(data: JSON) -> AnyPrompt:
    """Return the prompt again."""
    if "messages" not in data:
        return Plain(data["text"], tuple(data["tokens"]))
    return Prompt(tuple(map(_message, data["messages"])), tuple(data["passages"]), tuple(data["tools"]))


def _message(data: JSON) -> Message:
    calls = tuple(ToolCall(**call) for call in data["tool_calls"])
    return Message(data["role"], data["content"], calls, data["tool_call_id"])


def sampling_in(data: JSON) -> Sampling:
    """Return the sampling again."""
    bias = tuple((int(token), float(value)) for token, value in data["logit_bias"])
    return Sampling(**{**data, "stop": tuple(data["stop"]), "logit_bias": bias})


def turn_out(turn: Turn) -> JSON:
    """Return a turn as JSON."""
    return {"priority": int(turn.priority), "user": turn.user}


def turn_in(data: JSON) -> Turn:
    """Return the turn again."""
    return Turn(Priority(data["priority"]), data["user"])


def scored_out(scored: Scored) -> list[Any]:
    """Return a token with its log-probability as JSON: bytes as Latin-1 text."""
    top = [[one.token, one.raw.decode("latin-1"), one.logprob] for one in scored.top]
    return [scored.token, scored.raw.decode("latin-1"), scored.logprob, top]


def scored_in(data: list[Any]) -> Scored:
    """Return it again."""
    token, raw, logprob, top = data
    return Scored(
        token, raw.encode("latin-1"), logprob, tuple(Alternative(i, r.encode("latin-1"), p) for i, r, p in top)
    )


def token_out(token: Token) -> JSON:
    """Return a piece of an answer as JSON."""
    return {"text": token.text, "scored": [scored_out(one) for one in token.scored]}


def token_in(data: JSON) -> Token:
    """Return it again."""
    return Token(data["text"], tuple(map(scored_in, data["scored"])))


def finished_out(finished: Finished) -> JSON:
    """Return the end of an answer as JSON."""
    return dataclasses.asdict(finished)


def finished_in(data: JSON) -> Finished:
    """Return it again."""
    return Finished(**{**data, "usage": Usage(**data["usage"])})
