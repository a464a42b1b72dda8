"""A process that reads files for the indexer: `python -m lorebook_daemon.index.reader`, a child of `readers`.

It takes lists of `Wanted` on stdin (see `wire`) and answers each with a `Batch` on stdout; before that it says, once a
second at most, that it begins another file. It ends at once when its stdin is closed: then nobody is left to read.
"""

from __future__ import annotations

import faulthandler
import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from queue import SimpleQueue
from typing import IO

from lorebook_daemon.index.batch import Wanted, prepare
from lorebook_daemon.index.frames import receive, send
from lorebook_daemon.index.wire import answered, wanted_in

GREETING = "ready"
"""What a reader says when it has started."""
BEGINS = "next"
"""What it says when it begins another file."""
ORPHANED = 3
"""Exit status of a reader whose parent is gone."""
_QUIET_S = 1.0
_YOUNG = 100_000
"""Objects that are made before it is looked for garbage: a batch makes them by the million, and few in circles."""
_ENDLESS_S = 150.0
"""More than `readers` grants a file: here ends what has lost its parent, and listens to nobody, as C code may."""


def main() -> None:
    """Read what comes until nothing comes any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C in the terminal is the parent's to answer
    gc.freeze()
    gc.set_threshold(_YOUNG)
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not stand among the answers
    asked: SimpleQueue[Sequence[Wanted]] = SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, asked), daemon=True).start()
    send(out, GREETING)
    while True:
        wanted = asked.get()
        batch = prepare(wanted, _Beginnings(out))
        faulthandler.cancel_dump_traceback_later()
        send(out, *answered(batch))


class _Beginnings:
    """Says that another file begins, where the last word was not a moment ago."""

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out
        self._said = time.monotonic()
        _end_later()

    def __call__(self) -> None:
        """Tell of a file that begins now."""
        now = time.monotonic()
        if now - self._said > _QUIET_S:
            self._said = now
            _end_later()
            send(self._out, BEGINS)


def _end_later() -> None:
    """End this process, with its traceback in the log, if what begins now has no end."""
    faulthandler.dump_traceback_later(_ENDLESS_S, exit=True)


def _listen(pipe: IO[bytes], asked: SimpleQueue[Sequence[Wanted]]) -> None:
    try:
        while True:
            asked.put(wanted_in(receive(pipe)[0]))
    except EOFError:
        os._exit(ORPHANED)


if __name__ == "__main__":
    main()
