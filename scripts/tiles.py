"""Whether this machine lets AMX, the processor's tiles, be used: tried, since what is announced may be refused."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

PROGRAM = Path(__file__).with_suffix(".cpp")
# Without them gcc 12 drops most of the tiles' shapes; the program says more.
FLAGS = ("-fno-tree-dse", "-fno-dse")
BUILT_AS = ("-std=c++17", "-O3", "-pthread", "-mamx-tile", "-mamx-int8")
SECONDS = 60


def tiles_work() -> bool:
    """Return whether a small program that multiplies with AMX can be compiled here, runs, and is right; half a second.

    A hypervisor can announce AMX and refuse it, and a compiler can build it wrongly: either ends the program early.
    """
    compiler = shlex.split(os.environ.get("CXX", "")) or [shutil.which("c++") or "g++"]
    with tempfile.TemporaryDirectory(prefix="lorebook-tiles-") as folder:
        program = Path(folder, "tiles")
        built = [*compiler, *BUILT_AS, *FLAGS, str(PROGRAM), "-o", str(program)]
        return _succeeds(built) and _succeeds([str(program)])


def _succeeds(command: Sequence[str]) -> bool:
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
