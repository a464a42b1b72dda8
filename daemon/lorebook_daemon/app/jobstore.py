"""The jobs that there were, in SQLite in the state folder: their states, and everything that happened in them."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorebook_api.errors import NotFound, StorageFailed
from lorebook_api.teaching import JobInfo
from lorebook_daemon.app.lifecycle import now

_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL, state TEXT NOT NULL, created TEXT NOT NULL,
    started TEXT NOT NULL DEFAULT '', ended TEXT NOT NULL DEFAULT '', reason TEXT NOT NULL DEFAULT '',
    result TEXT NOT NULL DEFAULT '{}'
);
CREATE TABLE IF NOT EXISTS events (
    job TEXT NOT NULL, n INTEGER NOT NULL, name TEXT NOT NULL, data TEXT NOT NULL, PRIMARY KEY (job, n)
) WITHOUT ROWID;
"""
_COLUMNS = "id, kind, name, state, created, started, ended, reason, result"


@dataclass(frozen=True)
class JobEvent:
    """Something that happened in a job; `n` counts them from 1 on."""

    n: int
    name: str
    data: Any


class JobStore:
    """The jobs' table. Every method raises StorageFailed where the disk is full or the file cannot be written."""

    def __init__(self, folder: Path) -> None:
        """Open, or make, `jobs.sqlite` in `folder`."""
        self._path = folder / "jobs.sqlite"
        self._lock = threading.Lock()
        with self._storing():
            folder.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.execute("PRAGMA secure_delete=ON")  # what is forgotten is overwritten
            self._db.executescript(_SCHEMA)

    def add(self, job: JobInfo) -> None:
        """Keep a new job."""
        row = (job.id, job.kind, job.name, job.state, job.created)
        self._write("INSERT INTO jobs (id, kind, name, state, created) VALUES (?, ?, ?, ?, ?)", row)

    def get(self, job_id: str) -> JobInfo:
        """Return a job; raises NotFound."""
        rows = self._read(f"SELECT {_COLUMNS} FROM jobs WHERE id = ?", (job_id,))  # noqa: S608 - columns are ours
        if not rows:
            raise NotFound(f"There is no job {job_id!r}.", "See `lorebook jobs list`.")
        return _job(rows[0])

    def all(self) -> tuple[JobInfo, ...]:
        """Return all jobs, the latest first."""
        return tuple(map(_job, self._read(f"SELECT {_COLUMNS} FROM jobs ORDER BY rowid DESC")))  # noqa: S608

    def waiting(self) -> JobInfo | None:
        """Return the job that has waited longest."""
        rows = self._read(f"SELECT {_COLUMNS} FROM jobs WHERE state = 'waiting' ORDER BY rowid LIMIT 1")  # noqa: S608
        return _job(rows[0]) if rows else None

    def begin(self, job_id: str) -> JobInfo:
        """Mark a job as running from now on; return it."""
        self._write("UPDATE jobs SET state = 'running', started = ?, ended = '' WHERE id = ?", (now(), job_id))
        return self.get(job_id)

    def wait(self, job_id: str) -> JobInfo:
        """Mark a job as waiting again; return it."""
        self._write("UPDATE jobs SET state = 'waiting', ended = '', reason = '' WHERE id = ?", (job_id,))
        return self.get(job_id)

    def end(self, job: JobInfo) -> None:
        """Keep how a job ended: its state, when, why, and what it came to."""
        values = (job.state, job.ended, job.reason, json.dumps(job.result), job.id)
        self._write("UPDATE jobs SET state = ?, ended = ?, reason = ?, result = ? WHERE id = ?", values)

    def interrupt(self) -> None:
        """Mark as interrupted what a daemon that is gone left behind."""
        why = "The daemon ended before the job did."
        states = "UPDATE jobs SET state = 'interrupted', ended = ?, reason = ? WHERE state IN ('running', 'waiting')"
        self._write(states, (now(), why))

    def tell(self, job_id: str, name: str, data: Any) -> None:
        """Keep an event of a job."""
        count = "SELECT ?, COALESCE(MAX(n), 0) + 1, ?, ? FROM events WHERE job = ?"
        values = (job_id, name, json.dumps(data), job_id)
        self._write(f"INSERT INTO events (job, n, name, data) {count}", values)

    def events(self, job_id: str, after: int = 0) -> tuple[JobEvent, ...]:
        """Return the events of a job in order, those after the `after`th."""
        rows = self._read("SELECT n, name, data FROM events WHERE job = ? AND n > ? ORDER BY n", (job_id, after))
        return tuple(JobEvent(n, name, json.loads(data)) for n, name, data in rows)

    def forget(self, job_id: str, name: str) -> None:
        """Delete the events of that name of a job for certain: from the log of what was written, too."""
        self._write("DELETE FROM events WHERE job = ? AND name = ?", (job_id, name))
        self._write("PRAGMA wal_checkpoint(TRUNCATE)", ())

    def close(self) -> None:
        """Give the file back."""
        with self._lock:
            self._db.close()

    def _read(self, query: str, values: tuple[Any, ...] = ()) -> list[Any]:
        with self._storing(), self._lock:
            return self._db.execute(query, values).fetchall()

    def _write(self, query: str, values: tuple[Any, ...]) -> None:
        with self._storing(), self._lock:
            self._db.execute(query, values)

    @contextmanager
    def _storing(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            raise StorageFailed(
                f"{self._path} cannot be used ({error}).", "Free some space, or set LOREBOOK_HOME."
            ) from error


def _job(row: tuple[Any, ...]) -> JobInfo:
    fields = dict(zip(_COLUMNS.split(", "), row, strict=True))
    return JobInfo(**{**fields, "result": json.loads(fields["result"])})
