"""The small SQLite files in which the daemon keeps what a person said, asked and measured."""

from __future__ import annotations

import sqlite3
from pathlib import Path

WAIT_S = 10.0
"""How long to wait for another thread's or process's transaction."""


def connected(file: Path, tables: str) -> sqlite3.Connection:
    """Open a file, made with its `tables` where there is none, for one thread; the caller closes it.

    References are kept, and what is deleted is overwritten on the disk. Raises sqlite3.Error.
    """
    db = sqlite3.connect(file, timeout=WAIT_S)
    try:
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("PRAGMA secure_delete = ON")
        db.executescript(tables)
    except BaseException:
        db.close()
        raise
    return db
