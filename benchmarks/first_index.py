"""A first index made by the product's own worker: how long until words can be searched, and how much memory it took."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from lorebook_daemon.index.bounds import family
from lorebook_daemon.index.worker import Job

_LOOK_S = 0.25


@dataclass(frozen=True)
class First:
    """What a first index took; memory in MB at its highest, of the worker and of all processes together."""

    seconds: float
    worker_mb: float
    all_mb: float


def first_index(tree: Path, folder: Path) -> First:
    """Index `tree` into `folder`; the clock runs from the start of the worker. Ends where that says an error."""
    order = json.dumps({"job": asdict(Job(str(tree), str(folder), max_file_mb=20))})
    command = [sys.executable, "-P", "-m", "lorebook_daemon.index.start"]
    start = time.perf_counter()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        if process.stdin is None or process.stdout is None:
            raise ValueError("a worker is asked through pipes")
        memory = _Memory(process.pid)
        print(order, file=process.stdin, flush=True)
        for line in process.stdout:
            event = json.loads(line)
            if event["event"] == "error":
                raise SystemExit(event["error"]["message"])
            if event["event"] == "indexed":
                seconds = time.perf_counter() - start
                worker, everything = memory.end()
                process.stdin.close()  # which ends it
                return First(seconds, worker / 1e6, everything / 1e6)
    raise SystemExit("the indexer ended without a report")


class _Memory:
    """Looks at the memory of a process and of those that it started, and keeps the highest."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._worker = self._all = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def end(self) -> tuple[int, int]:
        """Look a last time; return the most bytes of the process, and of all."""
        self._over.set()
        self._thread.join()
        self._look()
        return self._worker, self._all

    def _watch(self) -> None:
        while not self._over.wait(_LOOK_S):
            self._look()

    def _look(self) -> None:
        held = [_resident(process) for process in family(self._pid)]
        self._worker = max([self._worker, *held[-1:]])
        self._all = max(self._all, sum(held))


def _resident(process: psutil.Process) -> int:
    with suppress(psutil.Error):  # it ended just now
        return int(process.memory_info().rss)
    return 0
