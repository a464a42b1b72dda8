"""What a person does at a shell, as a test does it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from lorebook_api.discovery import Daemon, read_runtime_file
from lorebook_api.home import Home

SAMPLES = Path(__file__).parents[2] / "samples"
PATIENCE_S = 100.0


@dataclass(frozen=True)
class Said:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str

    def document(self) -> Any:
        """Return stdout, which is one JSON document: anything before or after it fails here."""
        return json.loads(self.out)

    def complaint(self) -> str:
        """Return the one line on stderr that says what went wrong; progress may stand before it."""
        assert self.code == 1, (self.out, self.err)
        lines = [line for line in self.err.splitlines() if line.startswith("lorebook: ")]
        assert len(lines) == 1 and self.err.splitlines()[-1] == lines[0], self.err
        assert "Traceback" not in self.err
        return lines[0].removeprefix("lorebook: ")


class Person:
    """Types `lorebook …`; `home` is their LOREBOOK_HOME, `folder` where they stand."""

    def __init__(self, home: Path, folder: Path, model: str) -> None:
        self.home = Home(home, home / "state", home / "cache", home / "models", home / "runtime")
        self.folder = folder
        theirs = {"LOREBOOK_HOME": str(home), "LOREBOOK_MODEL": model, "LOREBOOK_OFFLINE": "1"}
        self.env = {name: value for name, value in os.environ.items() if not name.startswith("LOREBOOK_")} | theirs

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Type a command and do not wait for it."""
        return subprocess.Popen(
            # -P: as with the installed command, the folder that one stands in is not on Python's path.
            [sys.executable, "-P", "-m", "lorebook_daemon", *words],
            **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE},
            **{"cwd": self.folder, "env": self.env, "encoding": "utf-8"},
        )

    def type(self, *words: str, code: int | None = 0) -> Said:
        """Type a command and wait for its end; fails where it ends otherwise than with `code` (None: anyhow)."""
        return self.hear(self.start(*words), code)

    @staticmethod
    def hear(process: subprocess.Popen[str], code: int | None = 0) -> Said:
        """Wait for a command that was started."""
        try:
            out, err = process.communicate(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            raise AssertionError(f"still running: {process.args}\n{out}\n{err}") from None
        assert code is None or process.returncode == code, (process.args, process.returncode, out, err)
        return Said(process.returncode, out, err)

    def daemon(self) -> Daemon:
        """Return the daemon that the runtime file names."""
        daemon = read_runtime_file(self.home)
        assert daemon is not None
        return daemon

    def http(self, **headers: str) -> httpx.Client:
        """Return a bare HTTP client of the daemon, with its token unless `headers` say otherwise."""
        daemon = self.daemon()
        bearer = {"Authorization": f"Bearer {daemon.token}"}
        return httpx.Client(base_url=daemon.url, headers=bearer | headers, trust_env=False, timeout=PATIENCE_S)

    def children(self, module: str) -> list[psutil.Process]:
        """Return the daemon's children that run a module of this last name: `child`, an engine, `start`, an indexer."""
        found = []
        for process in psutil.Process(self.daemon().pid).children(recursive=True):
            with suppress(psutil.Error):
                if any(part.endswith(f".{module}") for part in process.cmdline()):
                    found.append(process)
        return found

    def leave(self) -> None:
        """End the daemon, where one runs, and all that it started."""
        daemon = read_runtime_file(self.home)
        if daemon is None or not psutil.pid_exists(daemon.pid):
            return
        with suppress(psutil.Error):
            process = psutil.Process(daemon.pid)
            family = [*process.children(recursive=True), process]
            process.terminate()
            with suppress(AssertionError):
                until(lambda: all(map(is_over, family)), within_s=10)
            for left in family:
                left.kill()


def is_over(process: psutil.Process) -> bool:
    """Return whether a process has ended; one that its parent has not looked after yet counts as ended."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def until(holds: Callable[[], Any], within_s: float = PATIENCE_S) -> Any:
    """Wait until `holds()` returns something true, and return that."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        found = holds()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError("it did not come to that in time")
