"""The folder of one root's index: its name, its lock, the files in it, and what its failures are called."""

from __future__ import annotations

import hashlib
import os
import re
import sqlite3
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from lorebook_api.errors import Conflict, StorageFailed

DATABASE = "index.sqlite3"
BESIDE = ".beside"
"""What the name of a file ends in that belongs to the derived file of the same name."""
LOCK = "index.lock"
_PID = "index.pid"
_STORAGE_CODES = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_PERM,
}
_DAMAGE_CODES = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_MISMATCH}


class Damaged(Exception):
    """The database is not what was written there; the message says how it shows."""


@dataclass(frozen=True)
class Derived:
    """A file made from the database's rows: its name in the folder, and its size, by which a cut one is known."""

    name: str
    size: int


def index_folder(cache: Path, root: Path) -> Path:
    """Return the folder below `cache` (of `Home`) where the index of `root` lies: a readable name and a hash."""
    top = root.expanduser().resolve()
    slug = re.sub(r"[^\w-]+", "-", top.name).strip("-")[:40] or "root"
    name = os.path.normcase(top)
    return cache / "index" / f"{slug}-{hashlib.sha256(os.fsencode(name)).hexdigest()[:16]}"


@contextmanager
def lock(folder: Path, root: Path) -> Iterator[None]:
    """Make the folder and hold it for writing; raises Conflict where another process holds it.

    The system lets go of the lock when its holder dies, however it dies.
    """
    with storage(folder):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        held = FileLock(folder / LOCK, timeout=0)
        try:
            held.acquire()
        except Timeout as error:
            raise Conflict(
                f"{root} is being indexed by another process{_holder(folder)}.",
                "Wait until it has ended, then try again.",
            ) from error
    try:
        with storage(folder):
            (folder / _PID).write_text(str(os.getpid()), encoding="ascii")
        yield
    finally:
        held.release()


def _holder(folder: Path) -> str:
    try:
        return f" (pid {int((folder / _PID).read_text(encoding='ascii'))})"
    except (OSError, ValueError):
        return ""


@contextmanager
def storage(folder: Path) -> Iterator[None]:
    """Turn the system's and SQLite's errors into StorageFailed, Conflict or Damaged."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF
        if code in _STORAGE_CODES:
            raise _failed(folder, str(error)) from error
        if code in _DAMAGE_CODES:
            raise Damaged(str(error)) from error
        if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            raise Conflict(f"{folder} is in use by another process.", "Try again in a moment.") from error
        raise
    except OSError as error:
        raise _failed(folder, error.strerror or str(error)) from error


def _failed(folder: Path, why: str) -> StorageFailed:
    return StorageFailed(
        f"The index cannot be kept in {folder} ({why}).",
        "Free some space or make it writable, or set LOREBOOK_HOME to a folder that is.",
    )


def write_derived(folder: Path, name: str, save: Callable[[Path], None]) -> Derived:
    """Write a file that is whole or not there at all, whenever the process may die."""
    part = folder / f"{name}.part"
    save(part)
    with part.open("rb+") as written:
        os.fsync(written.fileno())
        size = os.fstat(written.fileno()).st_size
    part.replace(folder / name)
    return Derived(name, size)


def is_whole(folder: Path, derived: Derived | None) -> bool:
    """Return whether the file is there in full length."""
    try:
        return derived is not None and (folder / derived.name).stat().st_size == derived.size
    except OSError:
        return False


def sweep(folder: Path, keep: Collection[str]) -> None:
    """Delete derived files but those to `keep` with what belongs to them, and what killed processes left behind.

    What cannot be deleted, as a file that is open on Windows, stays for the next time.
    """
    for file in [*folder.glob("lexical-*"), *folder.glob("vectors-*")]:
        if file.name.removesuffix(BESIDE) not in keep:
            with suppress(OSError):
                file.unlink()


def erase(folder: Path) -> None:
    """Delete the database and all that was made from it."""
    with storage(folder):
        for name in (DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm"):
            (folder / name).unlink(missing_ok=True)
        sweep(folder, ())
