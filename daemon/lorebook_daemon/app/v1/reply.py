"""An answer under way: what its choices say goes out in chunks, or whole at the end."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from lorebook_api.version import VERSION
from lorebook_daemon.app.events import Emit
from lorebook_daemon.app.v1.requests import Generating
from lorebook_daemon.app.v1.usage import timings, usage
from lorebook_daemon.app.v1.wire import CHUNK, DONE, WHOLE
from lorebook_daemon.engine.protocol import Finished, Token

JSON = dict[str, Any]


class Choice(Protocol):
    """One of the answers to a request."""

    def take(self, piece: Token | Finished) -> Iterable[JSON]:
        """Add a piece; return what it says as entries of chunks' `choices`."""
        ...

    def whole(self) -> JSON:
        """Return all that was said as an entry of `choices`."""
        ...


class Reply:
    """Takes the pieces of all choices as they come, and emits them in OpenAI's shape."""

    def __init__(self, request_id: str, kind: str, body: Generating, choices: Sequence[Choice], emit: Emit) -> None:
        """Begin an answer of the kind `chat.completion` or `text_completion`."""
        self.model = ""
        """What the answer calls the model."""
        self._id = request_id
        self._kind = kind
        self._body = body
        self._choices = choices
        self._emit = emit
        self._created = int(time.time())
        self._ends: dict[int, Finished] = {}

    def take(self, number: int, piece: Token | Finished) -> None:
        """Add a piece of a choice."""
        if isinstance(piece, Finished):
            self._ends[number] = piece
        self.say(number, self._choices[number].take(piece))

    def say(self, number: int, entries: Iterable[JSON]) -> None:
        """Send what a choice says, where the answer is streamed; the last chunk of all tells the timings."""
        for entry in entries:
            chunk: JSON = {**self._head, "choices": [{"index": number, **entry}]}
            if self._body.tells_usage:
                chunk["usage"] = None
            elif entry["finish_reason"] and len(self._ends) == len(self._choices):
                chunk["timings"] = timings(self._told, self._body.choices)
            if self._body.stream:
                self._emit(CHUNK, chunk)

    def close(self) -> None:
        """Send the rest, when every choice has finished: the usage and the end, or the whole answer."""
        cost = {"usage": usage(self._told, self._body.choices), "timings": timings(self._told, self._body.choices)}
        if not self._body.stream:
            choices = [{"index": number, **choice.whole()} for number, choice in enumerate(self._choices)]
            self._emit(WHOLE, {**self._head, "choices": choices, **cost})
            return
        if self._body.tells_usage:
            self._emit(CHUNK, {**self._head, "choices": [], **cost})
        self._emit(DONE, None)

    @property
    def _head(self) -> JSON:
        chunks = self._body.stream and self._kind == "chat.completion"
        return {
            "id": self._id,
            "object": f"{self._kind}.chunk" if chunks else self._kind,
            "created": self._created,
            "model": self.model,
            "system_fingerprint": f"lorebook-{VERSION}",
        }

    @property
    def _told(self) -> list[Finished]:
        return [end for _, end in sorted(self._ends.items())]
