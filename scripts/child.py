"""Runs one long command: its output to a log, its progress to a bar, its failure to one line."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from scripts.bar import Bar
from scripts.trouble import diagnose

Progress = Callable[[str], tuple[int, int] | None]
"""Reads one line of output; returns (done, total) where it tells how far the command is."""

_NINJA = re.compile(r"^\s*\[(\d+)/(\d+)\]")
_DOWNLOAD = re.compile(r"^\s*Progress (\d+) of (\d+)")


def read_ninja(line: str) -> tuple[int, int] | None:
    """Return how far ninja is: `[12/345] Building CXX …` gives (12, 345)."""
    return _counted(_NINJA.match(line))


def read_download(line: str) -> tuple[int, int] | None:
    """Return how far pip's download is, in bytes, as `--progress-bar raw` prints it."""
    return _counted(_DOWNLOAD.match(line))


def _counted(match: re.Match[str] | None) -> tuple[int, int] | None:
    if match is None or int(match[2]) == 0:
        return None
    return int(match[1]), int(match[2])


@dataclass
class CountedPackages:
    """Reads pip's output by counting the packages it has collected of the `total` that are pinned."""

    total: int
    seen: set[str] = field(default_factory=set)

    def __call__(self, line: str) -> tuple[int, int] | None:
        """Return (packages collected, all) after a line that names another package."""
        match = re.match(r"\s*Collecting ([\w.-]+)", line)
        if match is None:
            return None
        self.seen.add(match[1])
        # The last twentieth is left for the installing, which pip does in silence.
        return min(len(self.seen), self.total * 19 // 20), self.total


def run_logged(
    label: str, command: Sequence[str | Path], log: Path, progress: Progress, env: Mapping[str, str] | None = None
) -> None:
    """Run `command` with a bar called `label`; `env` is added to this process's. Raises Trouble when it fails."""
    log.parent.mkdir(parents=True, exist_ok=True)
    bar = Bar(label)
    # pip's `user = true` would forbid every installation into an environment.
    whole = {**os.environ, "PIP_USER": "0", "PYTHONUNBUFFERED": "1", **(env or {})}
    with log.open("w", encoding="utf-8") as file:
        file.write(f"$ {' '.join(map(str, command))}\n")
        code = _follow([str(part) for part in command], file.write, bar, progress, whole)
    if code != 0:
        bar.end("failed")
        raise diagnose(label, log.read_text(encoding="utf-8", errors="replace"), log)
    bar.end()


def _follow(
    command: list[str], write: Callable[[str], object], bar: Bar, progress: Progress, env: Mapping[str, str]
) -> int:
    """Run `command` to its end and return its exit status; an interrupt waits until it has stopped too."""
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env,
        text=True, encoding="utf-8", errors="replace",
    ) as child:  # fmt: skip
        assert child.stdout is not None  # noqa: S101 - PIPE was asked for
        try:
            for line in child.stdout:
                write(line)
                if (far := progress(line)) is not None:
                    bar.update(*far)
        except BaseException:
            # The compilers got the terminal's interrupt as well; let ninja note what it had finished.
            _let_end(child)
            bar.end("stopped")
            raise
        return child.wait()


def _let_end(child: subprocess.Popen[str]) -> None:
    try:
        child.wait(timeout=10)
    except subprocess.TimeoutExpired:
        child.kill()
