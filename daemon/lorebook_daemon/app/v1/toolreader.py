"""Tells text from calls in an answer, as it comes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from lorebook_daemon.app.v1.callforms import FORMS, Form, Offered, bare_calls
from lorebook_daemon.engine.protocol import ToolCall

_LONGEST = max(len(form.opens) for form in FORMS)
_MAY_BE_CALL = re.compile(r"\s*(?:\{.*|(?:`{1,2}|```(?:j|js|jso|json)?\s*(?:\{.*)?)?)$", re.DOTALL)
"""The beginning of an answer that may be nothing but a call."""


class ToolReader:
    """Takes an answer as it comes and tells text from calls.

    An answer that is nothing but calls is such without their marks too: Qwen's coder models forget them. A call of a
    function that was not offered, or that cannot be read, stays text: nothing that the model said is lost.
    """

    def __init__(self, offered: Offered, *, several: bool = True) -> None:
        """Look for calls of what is `offered`; unless `several`, the first one is all."""
        self._offered = offered
        self._several = several
        self._held = ""
        self._began = False
        self._calls = 0

    def feed(self, text: str) -> Iterator[str | ToolCall]:
        """Yield what is certain now: text, and whole calls."""
        if not self._offered:
            yield text
            return
        self._held += text
        yield from self._marked(last=False)
        if _opening(self._held) is None and (self._began or not _MAY_BE_CALL.match(self._held)):
            yield from self._said(_certain(self._held))

    def finish(self) -> Iterator[str | ToolCall]:
        """Yield what was held back: a call may lack its end, where the end is what stopped the answer."""
        yield from self._marked(last=True)
        calls = () if self._began else bare_calls(self._held, self._offered)
        if calls:
            yield from self._called(calls, "")
        else:
            yield from self._said(len(self._held))

    def _marked(self, *, last: bool) -> Iterator[str | ToolCall]:
        """Yield all up to the first call that has no end yet, where more may come; what is none is text."""
        while (found := _opening(self._held)) is not None:
            form, at = found
            yield from self._said(len(self._held[:at].rstrip()))  # the space before a call goes with it
            begin = self._held.index(form.opens) + len(form.opens)
            end = self._held.find(form.closes, begin) if form.closes else -1
            if end < 0 and not last:
                return
            whole = end >= 0 or form.may_lack_end
            body, rest = (self._held[begin:end], end + len(form.closes)) if end >= 0 else (self._held[begin:], None)
            calls = form.read(body, self._offered) if whole else ()
            if calls:
                yield from self._called(calls, self._held[rest:] if rest is not None else "")
            else:
                yield from self._said(begin)

    def _said(self, size: int) -> Iterator[str]:
        text, self._held = self._held[:size], self._held[size:]
        if text and not (self._calls and text.isspace()):  # what stands between calls is no content
            self._began = True
            yield text

    def _called(self, calls: Sequence[ToolCall], rest: str) -> Iterator[ToolCall]:
        self._held, self._began = rest, True
        for call in calls:
            self._calls += 1
            if self._several or self._calls == 1:
                yield call


def _opening(text: str) -> tuple[Form, int] | None:
    """Return the form whose mark comes first, and where; None where there is none."""
    found = [(form, at) for form in FORMS if (at := text.find(form.opens)) >= 0]
    return min(found, key=lambda one: one[1], default=None)


def _certain(text: str) -> int:
    """Return how much of a text can neither begin a mark nor be the space before one."""
    ends = (n for n in range(min(len(text), _LONGEST), 0, -1) if any(f.opens.startswith(text[-n:]) for f in FORMS))
    return len(text[: len(text) - next(ends, 0)].rstrip())
