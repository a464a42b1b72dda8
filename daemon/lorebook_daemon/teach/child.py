"""The trainer as a process of low priority: `python -m lorebook_daemon.teach.child preview|train FOLDER`.

It writes one JSON object a line on stdout: `{"event": "progress"|"metrics"|"said", "data": {…}}`, at the end
`{"event": "done", "data": {…}}` with the preview or the card, or `{"event": "error", "data": {…}}`. It reads lines from
stdin: `pause` makes it wait before the next layer of the model, `go` lets it go on; the end of stdin ends it at once.
Over several processes or machines: `torchrun --nproc-per-node 2 -m lorebook_daemon.teach.child train FOLDER`; each then
takes a batch of its own, and stdin is not read.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

import psutil

from lorebook_api.errors import LorebookError, Unusable
from lorebook_api.home import find_home
from lorebook_api.indexing import Progress
from lorebook_api.teaching import ESTIMATED, Metrics, Said
from lorebook_daemon.models.identity import identity
from lorebook_daemon.teach.estimate import check_memory
from lorebook_daemon.teach.examples import read_examples
from lorebook_daemon.teach.job import TrainJob, read_job
from lorebook_daemon.teach.needs import check_installed
from lorebook_daemon.teach.plan import Plan, lay_out, preview

log = logging.getLogger(__name__)

ORPHANED = 3
"""Exit status of a trainer whose parent is gone."""
_NICENESS = 10
_PAUSE_S = 0.2


class _Lines:
    """Events, one JSON object a line; metrics at most five times a second, but for the last."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._last = 0.0

    def send(self, event: str, data: Any) -> None:
        """Write one event; of several processes the first speaks for all, but each of its own errors."""
        if event != "error" and os.environ.get("RANK", "0") != "0":
            return
        self._out.write(json.dumps({"event": event, "data": data}) + "\n")
        self._out.flush()

    def metrics(self, metrics: Metrics) -> None:
        """Write where the training is, unless that was done a moment ago."""
        now = time.monotonic()
        if now - self._last >= _PAUSE_S or metrics.step == metrics.steps:
            self._last = now
            self.send("metrics", asdict(metrics))

    def progress(self, progress: Progress) -> None:
        """Write what is being done."""
        self.send("progress", asdict(progress))

    def said(self, said: Said) -> None:
        """Write what the model now says."""
        self.send("said", asdict(said))


def main(what: str, folder: Path) -> int:
    """Do it; return the exit status: 0 done, 1 with an error event."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C in the terminal is the parent's to answer
    lines = _Lines(_take_stdout())
    may_run = threading.Event()
    may_run.set()
    if "WORLD_SIZE" not in os.environ:  # torchrun, which sets it, ends its processes itself
        threading.Thread(target=_obey, args=(may_run,), daemon=True).start()
    _step_back()
    try:
        lines.send("done", _DOES[what](folder, lines, lambda: bool(may_run.wait())))
    except Exception as error:  # the parent is told in any case
        lines.send("error", _told(error).body())
        return 1
    return 0


def _told(error: Exception) -> LorebookError:
    """Return what a person is told of an error; of one that nobody foresaw, the traceback goes to the log."""
    if isinstance(error, LorebookError):
        return error
    # torch says RuntimeError where the system gives no more memory
    if isinstance(error, MemoryError) or "allocate memory" in str(error):
        return LorebookError("There is not enough memory for this training.", "Take a smaller --base, or --batch 1.")
    log.error("the trainer failed", exc_info=error)
    return LorebookError(f"The trainer failed ({type(error).__name__}: {error}).", "See: lorebook jobs logs")


def _preview(folder: Path, lines: _Lines, breathe: Callable[[], object]) -> dict[str, Any]:
    job = read_job(folder)
    return asdict(preview(job, _plan(folder, job)))


def _train(folder: Path, lines: _Lines, breathe: Callable[[], object]) -> dict[str, Any]:
    check_installed()
    job = read_job(folder)
    _check_base(job)
    plan = _plan(folder, job)
    lines.progress(Progress(f"{ESTIMATED}{plan.estimate.told}"))
    check_memory(plan.estimate)
    lines.progress(Progress("starting torch"))
    from lorebook_daemon.teach.teacher import Tell, teach  # torch: some seconds, and only training needs it

    def wait() -> None:
        breathe()

    return teach(folder, job, plan, Tell(lines.progress, lines.metrics, lines.said), wait)


_DOES = {"preview": _preview, "train": _train}


def _plan(folder: Path, job: TrainJob) -> Plan:
    return lay_out(job, read_examples(folder / "examples.jsonl"))


def _check_base(job: TrainJob) -> None:
    path = Path(job.path)
    if not path.is_file():
        raise Unusable(
            f"The model to teach, {job.base}, is not at {path} any more.", "Bring it again, or teach another."
        )
    if identity(path, find_home()) != job.sha256:
        raise Unusable(f"{path} is not the file that this was made for.", "Start again: lorebook teach …")


def _take_stdout() -> TextIO:
    """Return stdout for events alone: what a library prints goes to stderr from here on."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return out


def _obey(may_run: threading.Event) -> None:
    """Follow the parent's lines; leave when there is no parent. The checkpoint is whole at every moment."""
    for line in sys.stdin:
        if line.strip() == "pause":
            may_run.clear()
        else:
            may_run.set()
    os._exit(ORPHANED)


def _step_back() -> None:
    """Give way to whatever else wants the processor."""
    if sys.platform == "win32":
        psutil.Process().nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)
    else:
        os.nice(_NICENESS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
