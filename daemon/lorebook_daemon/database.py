"""The small SQLite files in which the daemon keeps what a person said, asked and measured."""

from __future__ import annotations

import contextlib
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


def add_column(db: sqlite3.Connection, table: str, column: str, definition: str) -> None:
    """Add a column where the table was made by a version that had none; raises sqlite3.Error."""
    if column not in {row[1] for row in db.execute(f"PRAGMA table_info({table})")}:
        with contextlib.suppress(sqlite3.OperationalError):  # another thread was faster
            db.execute(f"ALTER TABLE {table} ADD COLUMN {column} {definition}")
