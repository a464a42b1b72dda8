"""Runs a program that a model wrote, with its tests, in a child process within bounds of time, memory and output.

What holds it: it finds Python's own library and nothing that was installed, of that no machine code but what computes,
and none of the functions that make files and processes; an audit hook (PEP 578) ends it where it opens files, loads
libraries, or reaches for what was taken away; on POSIX limits of the system on processor time, memory and the size of
files; on Linux, where the system allows it, a namespace without a network; everywhere a clock, and a look at its
memory, after which it is killed with all that it started. It passes only by coming to its last line: the nonce that
says so is where no frame of it leads. All of that stands within one interpreter. So it holds accidents and malice that
keeps to Python, not somebody who breaks the interpreter itself, by bytecode that was written by hand, say; who wants
to run the programs of such a one needs a virtual machine.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Literal

import psutil

_CHILD = Path(__file__).with_name("child.py")
_POLL_S = 0.02
_OUTPUT_MOST = 64 * 1024
_KEPT = ("SYSTEMROOT", "PATH")
"""Variables that a Python on Windows, or anywhere, does not start without."""

Ended = Literal["passed", "failed", "refused", "time", "memory", "output", "died"]
_FALLEN: dict[str, Ended] = {"failed": "failed", "refused": "refused", "memory": "memory"}
"""What a child says of a program that did not pass, by its word for it."""


@dataclass(frozen=True)
class Bounds:
    """What a program may use."""

    seconds: float = 10.0
    memory_mb: int = 1024


@dataclass(frozen=True)
class Verdict:
    """How a program ended, and why, in a line; `held` names what held it, as far as this system has it."""

    ended: Ended
    why: str
    held: tuple[str, ...] = ()


def run_program(code: str, bounds: Bounds | None = None) -> Verdict:
    """Run a program to its end and return how that was; it passed where it came to its last line. Blocking."""
    within = bounds or Bounds()
    nonce = secrets.token_hex(16)
    told = json.dumps({"code": code, "nonce": nonce, **asdict(within)})
    # Its folder is its own, and goes with it. What it may read beside that is Python's library.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, _started(folder) as child:
        output = _Output(child.stdout)
        stopped = _fed(child, told) or _watched(child, output, within)
        _end(child)
        output.join()
    return stopped or _verdict(output.text, nonce, child.returncode)


def _started(folder: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-B", str(_CHILD)],
        cwd=folder,
        env={name: os.environ[name] for name in _KEPT if name in os.environ},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _fed(child: subprocess.Popen[bytes], told: str) -> Verdict | None:
    assert child.stdin is not None  # noqa: S101 - a pipe was asked for
    try:
        child.stdin.write(told.encode("utf-8", "replace"))
        child.stdin.close()
    except OSError:
        return Verdict("died", "the child ended before it began")
    return None


class _Output:
    """What the child says, read beside it so that it never waits, and no more than is needed."""

    def __init__(self, pipe: IO[bytes] | None) -> None:
        assert pipe is not None  # noqa: S101 - a pipe was asked for
        self._pipe = pipe
        self._read = b""
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    @property
    def full(self) -> bool:
        """Whether it says more than any verdict is long."""
        return len(self._read) > _OUTPUT_MOST

    @property
    def text(self) -> str:
        return self._read[:_OUTPUT_MOST].decode("utf-8", "replace")

    def join(self) -> None:
        self._thread.join()

    def _follow(self) -> None:
        while not self.full and (piece := self._pipe.read1(4096)):  # type: ignore[attr-defined]
            self._read += piece


def _watched(child: subprocess.Popen[bytes], output: _Output, within: Bounds) -> Verdict | None:
    """Wait for the child; return why it must be killed, None where it ended by itself."""
    end = time.monotonic() + within.seconds + 1.0  # its own limit counts processor time, and comes first where it works
    while child.poll() is None:
        if time.monotonic() > end:
            return Verdict("time", f"it ran for more than {within.seconds:g} s")
        if output.full:
            return Verdict("output", "it wrote without end")
        if _memory_mb(child.pid) > within.memory_mb:
            return Verdict("memory", f"it took more than {within.memory_mb} MB")
        time.sleep(_POLL_S)
    return None


def _memory_mb(pid: int) -> float:
    try:
        return psutil.Process(pid).memory_info().rss / 1e6
    except psutil.Error:
        return 0.0


def _end(child: subprocess.Popen[bytes]) -> None:
    """Kill the child and all that it started."""
    try:
        family = [*psutil.Process(child.pid).children(recursive=True), psutil.Process(child.pid)]
    except psutil.Error:
        family = []
    for process in family:
        try:
            process.kill()
        except psutil.Error:
            continue
    child.wait()


def _verdict(output: str, nonce: str, status: int) -> Verdict:
    """Return what the child said; nothing but the nonce is a pass, and no program has it."""
    lines = output.splitlines()
    held = _held(lines[0] if lines else "")
    if nonce in lines:
        return Verdict("passed", "", held)
    for line in reversed(lines):
        ended, _, why = line.partition(" ")
        if ended in _FALLEN:
            return Verdict(_FALLEN[ended], why, held)
    if status and status < 0 and -status in (9, 24):  # SIGKILL, SIGXCPU: the limit on processor time
        return Verdict("time", "its processor time was used up", held)
    return Verdict("died", f"it ended before its tests did (status {status})", held)


def _held(line: str) -> tuple[str, ...]:
    """Return what the child's first line names; it was written before the program began."""
    try:
        return tuple(map(str, json.loads(line)))
    except (ValueError, TypeError):
        return ()
