"""The indexer as a process of low priority: `python -m lorebook_daemon.index.worker JOB`, JOB being a `Job` in JSON.

It writes one JSON object a line on stdout: `{"event": "progress", …Progress}`, `{"event": "indexed", "report":
IndexReport}` when stage one is done, `{"event": "done", "vectors": n}` at the end or `{"event": "error", "error":
{…}}`. It ends at once when its stdin is closed: then nobody is left to read.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

import psutil

from lorebook_api.errors import LorebookError
from lorebook_api.schema import Progress
from lorebook_daemon.index.embed import EMBEDDERS
from lorebook_daemon.index.embedding import embed_missing
from lorebook_daemon.index.update import update

log = logging.getLogger(__name__)

ORPHANED = 3
"""Exit status of a worker whose parent is gone."""

_NICENESS = 10
_PAUSE_S = 0.1  # between two reports of the same kind


@dataclass(frozen=True)
class Job:
    """What a worker is to do; `embedder_folder` empty leaves vectors out."""

    root: str
    folder: str
    max_file_mb: int
    full: bool = False
    embedder: str = "minilm"
    embedder_folder: str = ""


class Lines:
    """Events, one JSON object a line; progress of one kind at most ten times a second."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._last = ("", 0.0)

    def send(self, event: str, **fields: Any) -> None:
        """Write one event."""
        self._out.write(json.dumps({"event": event, **fields}) + "\n")
        self._out.flush()

    def progress(self, progress: Progress) -> None:
        """Write how far the work is, unless that was done a moment ago; the end of a kind is always written."""
        what, when = self._last
        now = time.monotonic()
        ended = 0 < progress.total <= progress.done
        if progress.what != what or ended or now - when >= _PAUSE_S:
            self._last = (progress.what, now)
            self.send("progress", **asdict(progress))


def main(argument: str) -> int:
    """Do the job in `argument`; return the exit status: 0 done, 1 with an error event."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C in the terminal is the parent's to answer
    lines = Lines(_take_stdout())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _step_back()
    try:
        _work(Job(**json.loads(argument)), lines)
    except LorebookError as error:
        lines.send("error", **error.body())
        return 1
    except Exception as error:  # the parent is told in any case; the traceback goes to the log
        log.exception("the indexer failed")
        unforeseen = LorebookError(f"The indexer failed ({type(error).__name__}: {error}).", "See: lorebook logs")
        lines.send("error", **unforeseen.body())
        return 1
    return 0


def _work(job: Job, lines: Lines) -> None:
    root, folder = Path(job.root), Path(job.folder)
    report = update(root, folder, max_file_mb=job.max_file_mb, full=job.full, report=lines.progress)
    lines.send("indexed", report=asdict(report))
    vectors = 0
    if job.embedder_folder and report.passages:
        embedder = EMBEDDERS[job.embedder](Path(job.embedder_folder))
        vectors = embed_missing(root, folder, embedder, lines.progress)
    lines.send("done", vectors=vectors)


def _take_stdout() -> TextIO:
    """Return stdout for events alone: what a library prints goes to stderr from here on."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return out


def _end_with_parent() -> None:
    """Wait for the end of stdin and leave; the index is whole at every moment, so nothing needs tidying."""
    while os.read(0, 4096):
        pass
    os._exit(ORPHANED)


def _step_back() -> None:
    """Give way to whatever else wants the processor."""
    if sys.platform == "win32":
        psutil.Process().nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)
    else:
        os.nice(_NICENESS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
