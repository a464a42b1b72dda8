"""What a person thought of answers, and did with them: kept in SQLite in the state folder, on this machine alone."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

from pydantic import TypeAdapter

from lorebook_api.errors import NotFound, StorageFailed
from lorebook_api.feedback import Feedback, KeptFeedback
from lorebook_daemon.database import connected

_TABLES = """
CREATE TABLE IF NOT EXISTS feedback (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, request TEXT NOT NULL, thumb INTEGER NOT NULL,
    body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS effects (
    feedback INTEGER NOT NULL REFERENCES feedback ON DELETE CASCADE, signal TEXT NOT NULL, effect REAL NOT NULL);
"""
_BODY = TypeAdapter(Feedback)
THUMBS = ("up", "down")
"""Ratings of which an answer has one at a time."""


class FeedbackStore:
    """The feedback of one home. Each call opens the file anew, so it may be made from any thread.

    Every method raises StorageFailed where the file cannot be read or written.
    """

    def __init__(self, state: Path) -> None:
        """Keep it in `state` (of `Home`), in a file that is made once there is something to keep."""
        self._file = state / "feedback.sqlite3"

    def keep(self, feedback: Feedback, effects: Mapping[str, float] | None = None) -> KeptFeedback:
        """Keep it, with what it says of the signals (see `learning`); a thumb takes the place of the one before.

        Of what was cited the places are kept, not the lines: those are in the files.
        """
        feedback = replace(feedback, citations=tuple(replace(cited, quote="") for cited in feedback.citations))
        moment = datetime.now(UTC).isoformat(timespec="seconds")
        thumb = feedback.rating in THUMBS
        with self._open() as db:
            if thumb and feedback.request_id:
                db.execute("DELETE FROM feedback WHERE thumb AND request = ?", (feedback.request_id,))
            body = json.dumps(asdict(feedback))  # ASCII: an answer may hold half a surrogate pair
            row = (moment, feedback.request_id, thumb, body)
            key = db.execute("INSERT INTO feedback (at, request, thumb, body) VALUES (?, ?, ?, ?)", row).lastrowid or 0
            rows = [(key, signal, effect) for signal, effect in (effects or {}).items()]
            db.executemany("INSERT INTO effects VALUES (?, ?, ?)", rows)
        return KeptFeedback(key, moment, feedback)

    def all(self) -> tuple[KeptFeedback, ...]:
        """Return all of it, the latest first."""
        if not self._file.is_file():
            return ()
        with self._open() as db:
            rows = db.execute("SELECT id, at, body FROM feedback ORDER BY id DESC").fetchall()
        return tuple(KeptFeedback(key, at, _BODY.validate_python(json.loads(body))) for key, at, body in rows)

    def effects(self) -> dict[str, tuple[float, int]]:
        """Return, by signal, the sum of its effects and how many there are."""
        if not self._file.is_file():
            return {}
        with self._open() as db:
            rows = db.execute("SELECT signal, sum(effect), count(*) FROM effects GROUP BY signal").fetchall()
        return {signal: (total, count) for signal, total, count in rows}

    def forget(self, kept: int) -> None:
        """Forget one of it, by its id, and what it said of the signals; it is overwritten on disk. Raises NotFound."""
        if self._delete("DELETE FROM feedback WHERE id = ?", (kept,)) == 0:
            raise NotFound(f"There is no feedback {kept}.", "What is kept: GET /api/feedback")

    def forget_all(self) -> int:
        """Forget all of it, and what it said of the signals; return how much there was."""
        return self._delete("DELETE FROM feedback", ())

    def _delete(self, statement: str, values: tuple[int, ...]) -> int:
        if not self._file.is_file():
            return 0
        with self._open() as db:
            return db.execute(statement, values).rowcount

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """Open the file, made where there is none, for one transaction."""
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.closing(connected(self._file, _TABLES)) as db, db:
                yield db
        except (OSError, sqlite3.Error) as error:
            raise StorageFailed(
                f"The feedback in {self._file} cannot be read or written ({error}).",
                "Free some space or make it writable; where the file is damaged, move it away.",
            ) from error
