"""The indexer as a process of its own (see `start`).

On stdin it takes one order a line: `{"rehearse": embedder_folder}`, `{"job": Job}`, and while it works `{"hold": true}`
and `{"hold": false}`. It writes one JSON object a line on stdout: `{"event": "progress", …Progress}`, `{"event":
"indexed", "report": IndexReport}` when stage one of a job is done, `{"event": "done", "vectors": n, "spent": false}` at
its end or `{"event": "error", "error": {…}}`, after which it ends. One that is not spent takes another job. It ends at
once when its stdin is closed: then nobody is left to read.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TextIO

import psutil

from lorebook_api.errors import LorebookError
from lorebook_api.indexing import Progress
from lorebook_daemon.index.batch import Wanted
from lorebook_daemon.index.embed import EMBEDDERS, Embedder
from lorebook_daemon.index.embedding import embed_missing
from lorebook_daemon.index.pace import Pace
from lorebook_daemon.index.readers import ready
from lorebook_daemon.index.unsaved import Unsaved
from lorebook_daemon.index.update import update
from lorebook_daemon.index.walk import FileStat

log = logging.getLogger(__name__)

ORPHANED = 3
"""Exit status of a worker whose parent is gone."""

_NICENESS = 10
_PAUSE_S = 0.1  # between two reports of the same kind
MUCH = 64
"""Files to read or passages to embed: from here on a worker gives way to others, and is spent after it."""
_REHEARSAL = {
    "note.md": "# Title\n\nText.\n",
    "module.py": "def function():\n    return 1\n",
    "notebook.ipynb": '{"cells": [{"cell_type": "code", "source": "x = 1", "outputs": []}], "nbformat": 4}',
}


@dataclass(frozen=True)
class Job:
    """What a worker is to do; `embedder_folder` empty leaves vectors out, `paths` narrows it (see `update`)."""

    root: str
    folder: str
    max_file_mb: int
    full: bool = False
    embedder: str = "minilm"
    embedder_folder: str = ""
    paths: tuple[str, ...] | None = None
    splitter: str = "structure"
    cpu_percent: int = 100
    """Of one processor, at the most."""


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


class Worker:
    """Does one job after another."""

    def __init__(self, lines: Lines, pace: Pace) -> None:
        self._lines = lines
        self._pace = pace
        self._embedders: dict[tuple[str, str], Embedder] = {}
        self._spent = False

    def do(self, job: Job) -> bool:
        """Do a job and tell what comes of it; return whether it succeeded."""
        try:
            self._work(job)
        except LorebookError as error:
            self._lines.send("error", **error.body())
            return False
        except Exception as error:  # the parent is told in any case; the traceback goes to the log
            log.exception("the indexer failed")
            unforeseen = LorebookError(f"The indexer failed ({type(error).__name__}: {error}).", "See: lorebook logs")
            self._lines.send("error", **unforeseen.body())
            return False
        return True

    def rehearse(self, embedder_folder: str) -> None:
        """Read a few lines of the commonest kinds, so that all that is needed for them is there when a job comes."""
        for _ in ready([_typed(name, text) for name, text in _REHEARSAL.items()]):
            pass
        if embedder_folder:
            with suppress(LorebookError):  # the job that needs it will say so
                self._embedder(embedder_folder)

    def _work(self, job: Job) -> None:
        root, folder = Path(job.root), Path(job.folder)
        self._pace.limit(job.cpu_percent)
        report = update(
            root,
            folder,
            max_file_mb=job.max_file_mb,
            full=job.full,
            paths=job.paths,
            splitter=job.splitter,
            alone=job.cpu_percent < 100,  # of what this process takes
            report=self._progress,
        )
        self._lines.send("indexed", report=asdict(report))
        vectors = 0
        if job.embedder_folder and report.passages:
            vectors = embed_missing(root, folder, self._embedder(job.embedder_folder, job.embedder), self._progress)
        self._lines.send("done", vectors=vectors, spent=self._spent)

    def _embedder(self, folder: str, name: str = Job.embedder) -> Embedder:
        if (name, folder) not in self._embedders:
            self._embedders[name, folder] = EMBEDDERS[name](Path(folder))
        return self._embedders[name, folder]

    def _progress(self, progress: Progress) -> None:
        """Tell how far the work is, and go on when it may; much work is done at low priority."""
        if progress.total > MUCH and not self._spent:
            self._spent = True
            _step_back()
        self._lines.progress(progress)
        self._pace.keep()


def main() -> int:
    """Take jobs until one fails; return the exit status, 1 after an error event."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C in the terminal is the parent's to answer
    worker = Worker(Lines(_take_stdout()), pace := Pace())
    jobs: SimpleQueue[Job | str] = SimpleQueue()
    threading.Thread(target=_take_orders, args=(jobs, pace), daemon=True).start()
    while True:
        job = jobs.get()
        if isinstance(job, str):
            worker.rehearse(job)
        elif not worker.do(job):
            return 1


def _take_stdout() -> TextIO:
    """Return stdout for events alone: what a library prints goes to stderr from here on."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return out


def _take_orders(jobs: SimpleQueue[Job | str], pace: Pace) -> None:
    """Hear the parent until it is gone, and leave; the index is whole at every moment, so nothing needs tidying."""
    for line in os.fdopen(0, "rb", closefd=False):
        order = json.loads(line)
        if "job" in order:
            jobs.put(_job(order["job"]))
        elif "rehearse" in order:
            jobs.put(str(order["rehearse"]))
        elif order["hold"]:
            pace.hold()
        else:
            pace.go_on()
    os._exit(ORPHANED)


def _job(body: dict[str, Any]) -> Job:
    paths = body.pop("paths")
    return Job(**body, paths=None if paths is None else tuple(paths))


def _typed(name: str, text: str) -> Wanted:
    """Return a file that is nowhere on disk."""
    return Wanted(FileStat(name, name, 0, 0, len(text)), unsaved=Unsaved(name, (0, 0, 0), 0, text))


def _step_back() -> None:
    """Give way to whatever else wants the processor."""
    if sys.platform == "win32":
        psutil.Process().nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)
    else:
        os.nice(_NICENESS)
