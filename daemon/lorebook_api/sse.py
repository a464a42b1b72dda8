"""Server-sent events, read as they come (WHATWG HTML, section 9.2)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ServerEvent:
    """One event: its name (`message` where none was sent) and its data, lines joined by newlines."""

    name: str
    data: str


class EventParser:
    """Turns the bytes of an event stream into events, however the bytes were cut.

    An event that is not closed by a blank line when the stream ends is dropped, as the standard wants.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._after_return = False
        self._first_line = True
        self._name = ""
        self._data: list[str] = []

    def feed(self, data: bytes) -> list[ServerEvent]:
        """Return the events that `data` completes, in order."""
        if self._after_return and data:
            # A line that ended in \r was closed at once; the \n that may follow belongs to it.
            data = data.removeprefix(b"\n")
            self._after_return = False
        if not data:
            return []
        self._after_return = data.endswith(b"\r")
        *lines, self._rest = _split_lines(self._rest + data)
        events = [self._take(line) for line in lines]
        return [event for event in events if event is not None]

    def _take(self, line: bytes) -> ServerEvent | None:
        """Return the event that this line closes, if it closes one."""
        if self._first_line:
            line = line.removeprefix(b"\xef\xbb\xbf")
            self._first_line = False
        if not line:
            return self._close()
        field, _, value = line.decode("utf-8", errors="replace").partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            self._name = value
        elif field == "data":
            self._data.append(value)
        return None

    def _close(self) -> ServerEvent | None:
        name, data = self._name or "message", self._data
        self._name, self._data = "", []
        return ServerEvent(name, "\n".join(data)) if data else None


def _split_lines(data: bytes) -> list[bytes]:
    """Split at the three line ends of the standard; the last piece is the unfinished line."""
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
