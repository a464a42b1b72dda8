"""The processes that read, as they are started: one may be ahead of who asks it, so that both load at once."""

from __future__ import annotations

import subprocess
import sys

_AHEAD: list[subprocess.Popen[bytes]] = []


def start_ahead() -> None:
    """Start a process that reads, for whoever is the first to want one."""
    _AHEAD.append(_start())


def started() -> subprocess.Popen[bytes]:
    """Return the process that was started ahead, or a new one; it may not be ready yet."""
    return _AHEAD.pop() if _AHEAD else _start()


def _start() -> subprocess.Popen[bytes]:
    # -P: `lorebook serve` may stand in a folder whose queue.py is not the standard library's.
    command = [sys.executable, "-P", "-m", "lorebook_daemon.index.reader"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
