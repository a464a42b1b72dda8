"""A measurement as it is asked for: over a stream, with which it ends, or resumed later, when nobody need listen."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Generic, TypeVar

from lorebook_api.decoding import decode
from lorebook_api.errors import Conflict, LorebookError
from lorebook_daemon.app.engines import Report
from lorebook_daemon.app.events import Emit, EventStream
from lorebook_daemon.app.parts import Parts
from lorebook_daemon.evaluate.store import Call

R = TypeVar("R")


@dataclass(frozen=True)
class Measure(Generic[R]):
    """A measurement below `/api/eval`: its route, its body, and what does it, with `done` and the report at last."""

    route: str
    body: type[R]
    work: Callable[[Parts, R, Emit], Awaitable[None]]

    def stream(self, parts: Parts, request: R) -> EventStream:
        """Return the stream of a measurement, which is kept with what it was asked by."""
        asked = self._asked(parts, request)
        return EventStream(lambda emit: self.work(asked, request, emit), uuid.uuid4().hex, parts.running)

    def request(self, body: Mapping[str, Any]) -> R:
        """Return the body of a run that is kept; raises Conflict where another version of lorebook kept it."""
        try:
            return decode(self.body, body)
        except LorebookError as error:
            hint = "Type its command again."
            raise Conflict("What this measurement was asked by is of another version.", hint) from error

    async def resume(self, parts: Parts, run: str, request: R, report: Report) -> None:
        """Measure what a run lacks; raises Conflict where it would be another measurement by now."""

        def emit(event: str, data: Any) -> None:
            if event == "progress":
                report(data)

        await self.work(self._asked(parts, request, run), request, emit)

    def _asked(self, parts: Parts, request: Any, resumes: str = "") -> Parts:
        call = Call(self.route, asdict(request))
        return replace(parts, evaluations=parts.evaluations.asked(call, resumes))
