"""An answer of an OpenAI-compatible server as it comes, event by event."""

from __future__ import annotations

import json
import time

from lorebook_api.asking import Usage
from lorebook_daemon.engine.protocol import Finished, Token
from lorebook_daemon.engine.remote.body import (
    WireAnswer,
    WireCall,
    WireChoice,
    WireMessage,
    WireTimings,
    WireUsage,
    scored_of,
    usage_of,
)


class Reading:
    """An answer as it comes."""

    def __init__(self, top: int) -> None:
        self._top = top
        self._begun = time.perf_counter()
        self._first = 0.0
        self._pieces = 0
        self._usage: WireUsage | None = None
        self._timings: WireTimings | None = None
        self.reason = ""
        self.calls = Calls()

    def take(self, event: WireAnswer) -> list[Token]:
        """Return the tokens in an event; raises ValueError where its log-probabilities do not fit together."""
        self._usage = event.usage or self._usage
        self._timings = event.timings or self._timings
        tokens = [self._token(choice) for choice in event.choices[:1]]
        return [token for token in tokens if token.text or token.scored]

    def _token(self, choice: WireChoice) -> Token:
        said = choice.delta or WireMessage(choice.text)
        self.calls.feed(said.tool_calls or ())
        self.reason = choice.finish_reason or self.reason
        if said.content:
            self._first = self._first or time.perf_counter()
            self._pieces += 1
        return Token(said.content or "", scored_of(choice.logprobs, self._top))

    def finished(self) -> Finished:
        """Return the end, with the server's own counts and times where it tells them, else with what was seen here.

        A server that tells no usage leaves the prompt's tokens at 0, and a piece counts as a token.
        """
        now = time.perf_counter()
        first = self._first or now
        seen = WireTimings((first - self._begun) * 1000, (now - first) * 1000)
        times = self._timings or seen
        return Finished(
            "length" if self.reason == "length" else "stop",
            usage_of(self._usage) if self._usage else Usage(completion_tokens=self._pieces),
            times.prompt_ms,
            times.predicted_ms,
            times.draft_n,
            times.draft_n_accepted,
        )


class Calls:
    """The tool calls of an answer, which come in pieces."""

    def __init__(self) -> None:
        self._ids: dict[int, str] = {}
        self._calls: dict[tuple[int, str], tuple[str, str]] = {}

    def feed(self, pieces: tuple[WireCall, ...]) -> None:
        """Take further pieces; one with another id is another call, even where Ollama numbers all of them 0."""
        for piece in pieces:
            self._ids[piece.index] = piece.id or self._ids.get(piece.index, "")
            place = (piece.index, self._ids[piece.index])
            name, arguments = self._calls.get(place, ("", ""))
            said = piece.function
            self._calls[place] = (name + (said.name or ""), arguments + (said.arguments or ""))

    def text(self) -> str:
        """Return the calls as a model writes them: `<tool_call>`, JSON of name and arguments, `</tool_call>`."""
        written = []
        for name, arguments in self._calls.values():
            try:
                given = json.loads(arguments or "{}")
            except ValueError:
                given = arguments  # the model's own mistake, which whoever reads the call is to see
            call = json.dumps({"name": name, "arguments": given}, ensure_ascii=False)
            written.append(f"<tool_call>\n{call}\n</tool_call>")
        return "\n".join(written)
