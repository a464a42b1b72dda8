"""One daemon per user: the lock it holds for life, and the runtime file by which others find it."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import BaseFileLock, FileLock, Timeout

from lorebook_api.discovery import Daemon
from lorebook_api.errors import Conflict, StorageFailed
from lorebook_api.home import Home


def now() -> str:
    """Return the time as it stands in the runtime file."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@contextlib.contextmanager
def sole(home: Home, patience_s: float = 10.0) -> Iterator[None]:
    """Hold the daemon's lock for the block; raises Conflict, naming the daemon that holds it already.

    One that holds it and has no runtime file is ending (or about to write it): waits `patience_s` seconds for that.
    """
    lock = FileLock(home.runtime / "daemon.lock")
    _acquire(lock, home, time.monotonic() + patience_s)
    try:
        yield
    finally:
        lock.release()


def _acquire(lock: BaseFileLock, home: Home, deadline: float) -> None:
    while not lock.is_locked:
        try:
            lock.acquire(timeout=0.2)
        except Timeout as error:
            first = _read(home.daemon_file)
            if first:
                at = f"at {first.get('url')} (process {first.get('pid')})"
                hint = "Use that one, or end it first: `lorebook stop`."
                raise Conflict(f"A daemon runs already {at}.", hint) from error
            if time.monotonic() > deadline:
                raise Conflict("A daemon is starting or ending.", "Wait a moment, then try again.") from error
        except OSError as error:
            raise StorageFailed(f"{home.runtime} cannot be locked ({error.strerror or error}).") from error


@contextlib.contextmanager
def announced(home: Home, told: Daemon) -> Iterator[None]:
    """Write the runtime file for the block, in place of a dead daemon's; at the end remove it if it is still ours."""
    _write(home.daemon_file, told)
    try:
        yield
    finally:
        if _read(home.daemon_file).get("token") == told.token:
            home.daemon_file.unlink(missing_ok=True)


def _read(file: Path) -> dict[str, Any]:
    """Return what the file says, nothing where it is not there or not whole."""
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def _write(file: Path, told: Daemon) -> None:
    """Write all or nothing, readable by the user alone: mkstemp makes the file 0600, and it keeps that when moved."""
    try:
        handle, name = tempfile.mkstemp(prefix=".daemon-", dir=file.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(asdict(told), stream)
        Path(name).replace(file)
    except OSError as error:
        raise StorageFailed(f"{file} cannot be written ({error.strerror or error}).") from error
