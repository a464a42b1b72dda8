"""Messages between the kernel and the pages that show a widget, of which none is lost.

A page is reloaded, a socket breaks, a subshell of the kernel is gone: what was on its way then never arrives. So both
sides number what they send. The kernel keeps what it sent, and a page tells the last number that it has; the page
keeps what it sent until the kernel has acknowledged it, and the kernel acts on each number once, in order.

To the page: `{"n": 7, "message": {…}}`, `{"n": 7, "state": {…}}` (all that there is to know, in place of the messages
up to 7), `{"ack": 3, "page": "…"}`. To the kernel: `{"page": "…", "have": 6}` (-1 for a page that knows nothing),
`{"page": "…", "n": 3, "message": {…}}`.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any, Protocol

KEPT = 2000
"""Messages that can be sent again; a page that lacks more is sent the state."""
PAGES_MOST = 200
UNHEARD_S = 0.5
"""As long as no page was heard, all of the state is sent so often: a kernel that is busy cannot be asked for it."""

Message = dict[str, Any]
"""Plain JSON; `type` says what it is about."""


class State(Protocol):
    """What a page shows, as the messages so far have made it."""

    def apply(self, message: Message) -> None:
        """Take a message in, as a page does."""
        ...

    def snapshot(self) -> Message:
        """Return all of it as plain JSON, which nobody changes."""
        ...


class Channel:
    """Numbers, keeps and sends again; any thread may post."""

    def __init__(self, send: Callable[[Message], None], act: Callable[[Message], None], state: State) -> None:
        """Send by `send`; call `act` with each message of a page, once."""
        self._send = send
        self._act = act
        self._state = state
        self._lock = threading.RLock()
        self._last = 0
        self._heard = False
        self._told = float("-inf")
        self._kept: deque[tuple[int, Message]] = deque(maxlen=KEPT)
        self._handled: OrderedDict[str, int] = OrderedDict()

    def post(self, message: Message) -> None:
        """Take a message into the state and send it to every page."""
        with self._lock:
            self._state.apply(message)
            self._last += 1
            self._kept.append((self._last, message))
            self._send({"n": self._last, "message": message})
            if not self._heard and time.monotonic() - self._told >= UNHEARD_S:
                self._told = time.monotonic()
                self._send({"n": self._last, "state": self._state.snapshot()})

    def receive(self, content: Message) -> None:
        """Take what a page sent; a message that was acted on already is acknowledged again, and that is all."""
        self._heard = True
        page = str(content.get("page", ""))
        if "have" in content:
            self._catch_up(int(content["have"]))
        elif self._is_next(page, int(content["n"])):
            self._act(content["message"])

    def _catch_up(self, have: int) -> None:
        with self._lock:
            if have == self._last:
                return
            missing = [(number, message) for number, message in self._kept if number > have]
            if have < 0 or have > self._last or len(missing) != self._last - have:
                self._send({"n": self._last, "state": self._state.snapshot()})
                return
            for number, message in missing:
                self._send({"n": number, "message": message})

    def _is_next(self, page: str, number: int) -> bool:
        """Acknowledge, and tell whether this is the one to act on: a later one waits until it is sent again."""
        with self._lock:
            handled = self._handled.pop(page, 0)
            new = number == handled + 1
            self._handled[page] = handled + new
            while len(self._handled) > PAGES_MOST:
                self._handled.popitem(last=False)
            self._send({"ack": self._handled[page], "page": page})
            return new
