"""Server-sent events: a piece of work runs, what it emits is sent, and it ends when the client hangs up."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from lorebook_api.errors import Cancelled, LorebookError
from lorebook_api.indexing import Progress
from lorebook_daemon.app.engines import Report
from lorebook_daemon.app.failures import described
from lorebook_daemon.app.running import Running

log = logging.getLogger(__name__)

PING_SECONDS = 10.0
"""A comment is sent after this long in silence, so that a dead connection is noticed."""

WAITING_BYTES = 16 * 2**20
"""What may wait for a client to read; one more event ends the work."""

TAKING_SECONDS = 60.0
"""How long a client may take nothing before the work is ended."""

_PIECE_BYTES = 64 * 1024
"""An event goes out in pieces of this size, so that a client is seen to take them however large the event is."""

_HEADERS = {
    "cache-control": "no-store",
    "x-accel-buffering": "no",  # a proxy in between must pass events on at once
}

Emit = Callable[[str, Any], None]
"""Sends one event: its name, and plain JSON data that may hold dataclasses."""

Work = Callable[[Emit], Awaitable[None]]


@dataclass(frozen=True)
class _Failed:
    error: LorebookError


class _End:
    pass


_Event = bytes | _Failed | _End


class _Outbox:
    """Events that wait to be sent, in order."""

    def __init__(self) -> None:
        self._events: asyncio.Queue[_Event] = asyncio.Queue()
        self._waiting = 0

    @property
    def is_full(self) -> bool:
        """Whether more waits than may: one event of any size always finds room."""
        return self._waiting > WAITING_BYTES

    def put(self, event: _Event) -> None:
        self._waiting += _size(event)
        self._events.put_nowait(event)

    async def next(self) -> _Event:
        """Wait for an event."""
        event = await self._events.get()
        self._waiting -= _size(event)
        return event

    def give_up(self) -> None:
        """Drop what nobody will read; how it ended stays."""
        for _ in range(self._events.qsize()):
            event = self._events.get_nowait()
            if not isinstance(event, bytes):
                self._events.put_nowait(event)
        self._waiting = 0


def _size(event: _Event) -> int:
    return len(event) if isinstance(event, bytes) else 0


@dataclass(frozen=True)
class Form:
    """How events look on the wire."""

    media_type: str
    encode: Callable[[str, Any], bytes]
    """Takes an event's name and its data; an error that came late is the event `error`."""
    pings: bool = True
    """Whether a comment may be sent in silence."""


def encode(event: str, data: Any) -> bytes:
    """Return one event in the wire's form; its data is one line of JSON, ASCII only.

    ASCII because readers that split at every Unicode line end would break a text with U+2028 in it, and because
    a file's text may hold half a surrogate pair, which UTF-8 cannot.
    """
    return f"event: {event}\ndata: {as_json(data)}\n\n".encode("ascii")


def as_json(data: Any) -> str:
    """Return plain data, which may hold dataclasses, as one line of JSON, ASCII only."""
    return json.dumps(data, allow_nan=False, default=_plain)


def reporter(emit: Emit) -> Report:
    """Return what sends progress as events, each state once."""
    last: Progress | None = None

    def report(progress: Progress) -> None:
        nonlocal last
        if progress != last:
            last = progress
            emit("progress", progress)

    return report


def _plain(data: Any) -> dict[str, Any]:
    return dataclasses.asdict(data)


NAMED_EVENTS = Form("text/event-stream; charset=utf-8", encode)
"""Lorebook's own: events with names."""


class EventStream(Response):
    """An answer made of events, ended by the work's return, its error, a hang-up, or `Running.end`.

    A client that does not read ends it too: when too much waits for it, or when it takes nothing for too long.

    An error before the first event is raised, so that it is answered with its true HTTP status; a later one
    is sent as the event `error` in the shape of `LorebookError.body`.
    """

    def __init__(
        self,
        work: Work,
        request_id: str,
        running: Running,
        ping_s: float = PING_SECONDS,
        form: Form = NAMED_EVENTS,
    ) -> None:
        super().__init__(headers=_HEADERS | {"content-type": form.media_type, "x-request-id": request_id})
        del self.headers["content-length"]
        self._work = work
        self._request_id = request_id
        self._running = running
        self._ping_s = ping_s if form.pings else None
        self._form = form

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the work and deliver its events."""
        events = _Outbox()

        def emit(event: str, data: Any) -> None:
            if events.is_full:
                self._running.end(self._request_id, _unread(f"{WAITING_BYTES >> 20} MB of it wait"))
            else:
                events.put(self._form.encode(event, data))

        async def run() -> None:
            await self._work(emit)

        work = asyncio.create_task(run())
        # A callback, not the end of the coroutine: a task cancelled before its first step never enters that.
        work.add_done_callback(lambda task: self._conclude(task, events))
        hang_up = asyncio.create_task(_cancel_at_hang_up(receive, work, events))
        try:
            with self._running.entered(self._request_id, work):
                await self._deliver(events, self._insisting(send))
        except _Stuck:
            # What is sent cannot be taken back, and nobody reads more of it: the server closes the connection.
            log.warning("request %s was ended: its client took nothing for %.0f s", self._request_id, TAKING_SECONDS)
        finally:
            hang_up.cancel()
            work.cancel()
            await asyncio.gather(hang_up, work, return_exceptions=True)

    def _conclude(self, work: asyncio.Task[None], events: _Outbox) -> None:
        error = None if work.cancelled() else work.exception()
        if work.cancelled():
            reason = self._running.reason(self._request_id)
            events.put(_Failed(reason or Cancelled("The request was taken back.")))
        elif isinstance(error, Exception):
            events.put(_Failed(described(error)))
        events.put(_End())

    def _insisting(self, send: Send) -> Send:
        """Return a `send` that raises _Stuck, having ended the work, where the client takes nothing for too long."""

        async def insisting(message: Message) -> None:
            try:
                async with asyncio.timeout(TAKING_SECONDS):
                    await send(message)
            except TimeoutError:
                self._running.end(self._request_id, _unread(f"nothing was taken for {TAKING_SECONDS:.0f} s"))
                raise _Stuck from None

        return insisting

    async def _deliver(self, events: _Outbox, send: Send) -> None:
        item = await self._next(events)
        if isinstance(item, _Failed):
            raise item.error
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        while not isinstance(item, _End):
            chunk = self._form.encode("error", item.error.body()) if isinstance(item, _Failed) else item
            for start in range(0, len(chunk), _PIECE_BYTES):
                piece = chunk[start : start + _PIECE_BYTES]
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            item = await self._next(events)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _next(self, events: _Outbox) -> _Event:
        try:
            async with asyncio.timeout(self._ping_s):
                return await events.next()
        except TimeoutError:
            return b": ping\n\n"


class _Stuck(Exception):
    """The client does not take what is sent."""


def _unread(how: str) -> Cancelled:
    return Cancelled(f"The answer was not read: {how}.", "Read the events as they come, or hang up.")


async def _cancel_at_hang_up(receive: Receive, work: asyncio.Task[None], events: _Outbox) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    events.give_up()
    work.cancel()
