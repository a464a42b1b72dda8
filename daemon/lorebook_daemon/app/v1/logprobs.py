"""Log-probabilities in OpenAI's two shapes: a list of tokens for chat, four lists side by side for completions."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from typing import Any

from lorebook_daemon.engine.protocol import Alternative, Scored

JSON = dict[str, Any]

_LEAST = -9999.0
"""What OpenAI tells of a token that cannot stand there: JSON has no infinity."""


def of_chat(scored: Sequence[Scored]) -> JSON:
    """Return `logprobs` of a chat's choice."""
    return {"content": [_told(one) | {"top_logprobs": [_told(other) for other in one.top]} for one in scored]}


def _told(one: Scored | Alternative) -> JSON:
    return {"token": one.raw.decode("utf-8", "replace"), "logprob": _bounded(one.logprob), "bytes": list(one.raw)}


class Columns:
    """`logprobs` of a completion's choice: what is added becomes the next part, offsets count on.

    A prompt's first token has null for its log-probability and for the tokens beside it: nothing stands before it.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._offset = 0

    def add(self, scored: Sequence[Scored], *, begins: bool = False) -> JSON:
        """Return the four lists for these tokens; `begins` says that the first of them is a prompt's first."""
        offsets = []
        for one in scored:
            offsets.append(self._offset)
            self._offset += len(self._decoder.decode(one.raw))
        told: list[tuple[float | None, dict[str, float] | None]] = [
            (_bounded(one.logprob), _beside(one)) for one in scored
        ]
        if begins and told:
            told[0] = (None, None)
        return {
            "tokens": [_text(one.raw) for one in scored],
            "token_logprobs": [logprob for logprob, _ in told],
            "top_logprobs": [beside for _, beside in told],
            "text_offset": offsets,
        }

    def end(self) -> JSON:
        """Return the four lists for an end that was drawn as a token: it has no text, and nobody scored it."""
        return {"tokens": [""], "token_logprobs": [None], "top_logprobs": [None], "text_offset": [self._offset]}


def _beside(one: Scored) -> dict[str, float]:
    """Return the likeliest tokens at a place, and the one that stands there; of two that read alike, the likelier."""
    beside = {_text(other.raw): _bounded(other.logprob) for other in reversed(one.top)}
    beside.setdefault(_text(one.raw), _bounded(one.logprob))
    return beside


def _text(raw: bytes) -> str:
    r"""Return a token's text; one that is no whole character is spelled as OpenAI does: `bytes:\xe2\x82`."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in raw)


def _bounded(logprob: float) -> float:
    return max(logprob, _LEAST)
