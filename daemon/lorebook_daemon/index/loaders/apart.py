"""Loaders that run apart: in a child process, bounded in time and memory, which a damaged file may bring down.

Libraries that read pages, books and databases have faults: on a crafted or damaged file they may loop, fill the
memory or crash. One child is kept for all such files, started for the first of them and anew after its end.
"""

from __future__ import annotations

import atexit
import json
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any

from lorebook_daemon.index.bounds import Bounds, Watch, kill
from lorebook_daemon.index.passage import Cell, Unit, Unreadable


class Child:
    """A process that loads one file after the other; used by one thread at a time."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._process: subprocess.Popen[bytes] | None = None
        self._turn = threading.Lock()

    def load(self, loader: str, path: Path, data: bytes) -> list[Unit]:
        """Return what the loader, named `module:function`, makes of a file.

        Raises Unreadable for what the loader refuses, what takes more than the bounds, and what ends the child.
        """
        with self._turn:
            process = self._started()
            watch = Watch(process.pid, self._bounds)
            try:
                reply = _exchange(process, {"loader": loader, "path": str(path), "bytes": len(data)}, data)
            finally:
                ended = watch.end()
            if reply is None:
                self.close()
                raise Unreadable(ended or "damaged: what reads it crashed")
        if "why" in reply:
            raise Unreadable(reply["why"])
        return [_unit(fields) for fields in reply["units"]]

    def close(self) -> None:
        """End the process, where there is one."""
        process, self._process = self._process, None
        if process is None:
            return
        kill(process.pid)
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):  # bytes for a child that is gone
                    pipe.close()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is not None:
            self.close()
        if self._process is None:
            self._process = subprocess.Popen(
                # -P: the folder that the indexer stands in may have an openpyxl.py that is not the library.
                [sys.executable, "-P", "-m", "lorebook_daemon.index.loaders.child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            _line(self._process)  # it is ready: on a busy machine that takes a while, which is no file's fault
        return self._process


@dataclass(frozen=True, slots=True)
class Apart:
    """A loader that hands its files to the child: the function `load` of a module beside this one.

    The module is named, not imported: where there are no such files, nothing of what reads them is loaded.
    """

    module: str
    load: str

    def __call__(self, path: Path, data: bytes) -> list[Unit]:
        """Return the file's units; raises Unreadable as the loader does, and for what exceeds its bounds."""
        return kept_child().load(f"{__package__}.{self.module}:{self.load}", path, data)


@cache
def kept_child() -> Child:
    """Return this process's child, started with its first file and ended with this process."""
    child = Child(Bounds())
    atexit.register(child.close)
    return child


def _exchange(process: subprocess.Popen[bytes], head: dict[str, Any], data: bytes) -> dict[str, Any] | None:
    """Return the child's reply, None where it ended instead."""
    try:
        _send(process.stdin, head, data)
        line = _line(process)
    except OSError:
        return None
    reply: dict[str, Any] | None = json.loads(line) if line.endswith(b"\n") else None
    return reply


def _line(process: subprocess.Popen[bytes]) -> bytes:
    """Return what the child says next, empty where it has ended."""
    return process.stdout.readline() if process.stdout is not None else b""


def _send(pipe: IO[bytes] | None, head: dict[str, Any], data: bytes) -> None:
    if pipe is not None:
        pipe.write(json.dumps(head).encode() + b"\n")
        pipe.write(data)
        pipe.flush()


def _unit(fields: dict[str, Any]) -> Unit:
    cell = fields["cell"]
    return Unit(**{**_with_tuples(fields), "cell": Cell(**_with_tuples(cell)) if cell else None})


def _with_tuples(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields with their lists, which JSON has in place of tuples, as tuples again."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
