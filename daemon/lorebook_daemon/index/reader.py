"""A process that reads files for the indexer: `python -m lorebook_daemon.index.reader`, a child of `readers`.

It takes lists of `Wanted` on stdin and answers each with a `Batch` on stdout. It ends at once when its stdin is closed:
then nobody is left to read.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Sequence
from queue import SimpleQueue
from typing import IO

from lorebook_daemon.index.batch import Wanted, prepare
from lorebook_daemon.index.frames import receive, send

GREETING = "ready"
"""What a reader says when it has started."""
ORPHANED = 3
"""Exit status of a reader whose parent is gone."""


def main() -> None:
    """Read what comes until nothing comes any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C in the terminal is the parent's to answer
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not stand among the answers
    asked: SimpleQueue[Sequence[Wanted]] = SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, asked), daemon=True).start()
    send(out, GREETING)
    while True:
        send(out, prepare(asked.get()))


def _listen(pipe: IO[bytes], asked: SimpleQueue[Sequence[Wanted]]) -> None:
    try:
        while True:
            asked.put(receive(pipe))
    except EOFError:
        os._exit(ORPHANED)


if __name__ == "__main__":
    main()
