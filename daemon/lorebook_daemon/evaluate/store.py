"""Every measurement, in SQLite in the state folder: its configuration, its versions, what each item came to.

An item's outcome is written as soon as it is known, so that a run that was interrupted goes on where it was.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lorebook_api.errors import BadRequest, NotFound, StorageFailed
from lorebook_api.evaluation import EvalRun, Figure, Overlap, Skipped
from lorebook_daemon.database import add_column, connected

_TABLES = """
CREATE TABLE IF NOT EXISTS runs (
    place INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, digest TEXT NOT NULL, kind TEXT NOT NULL,
    name TEXT NOT NULL, created TEXT NOT NULL, ended TEXT NOT NULL DEFAULT '', config TEXT NOT NULL,
    versions TEXT NOT NULL, figures TEXT NOT NULL DEFAULT '{}', n INTEGER NOT NULL DEFAULT 0,
    skipped TEXT NOT NULL DEFAULT '[]', notices TEXT NOT NULL DEFAULT '[]', overlaps TEXT NOT NULL DEFAULT '[]',
    route TEXT NOT NULL DEFAULT '', body TEXT NOT NULL DEFAULT '{}');
CREATE TABLE IF NOT EXISTS items (
    run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE, item TEXT NOT NULL, outcome TEXT NOT NULL,
    PRIMARY KEY (run, item)) WITHOUT ROWID;
"""
_COLUMNS = "id, kind, name, created, ended, config, versions, figures, n, skipped, notices, overlaps"
_SHORTEST = 4
"""Characters of an id that a person must type at least."""


@dataclass(frozen=True)
class Outcome:
    """What an item came to: a value for each metric that applies to it, what was said, and what is to be known."""

    scores: Mapping[str, float]
    said: str = ""
    note: str = ""


@dataclass(frozen=True)
class Begun:
    """A measurement as it begins: its kind, its name, and all that its figures depend on."""

    kind: str
    name: str
    config: dict[str, Any]
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """What two measurements have in common that are the same: an unfinished one is gone on with."""
        text = json.dumps([self.kind, self.name, self.config, self.versions], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Call:
    """What a measurement was asked by: its route below `/api/eval`, and the request's body. Enough to ask it again."""

    route: str
    body: Mapping[str, Any]


class RunStore:
    """The runs of one home. Each call opens the file anew, so it may be made from any thread.

    Every method raises StorageFailed where the file cannot be read or written.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / "evaluations.sqlite3"

    def begin(self, run: Begun, call: Call | None = None) -> str:
        """Return the id of a new run, or of the same one where it was begun and not finished; keep its call."""
        with self._open() as db:
            named = _unfinished(db, run)
            if not named:
                named = uuid.uuid4().hex[:8]
                db.execute(
                    "INSERT INTO runs (id, digest, kind, name, created, config, versions) VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (named, run.digest, run.kind, run.name, _now(), json.dumps(run.config), json.dumps(run.versions)),
                )
            if call is not None:
                values = (call.route, json.dumps(call.body), named)
                db.execute("UPDATE runs SET route = ?, body = ? WHERE id = ?", values)
            return named

    def unfinished(self, run: Begun) -> str:
        """Return the id of the same run where it was begun and not finished, else nothing."""
        with self._open() as db:
            return _unfinished(db, run)

    def call(self, run: str) -> Call | None:
        """Return what a run was asked by; None where a version of lorebook began it that did not keep that."""
        with self._open() as db:
            found = db.execute("SELECT route, body FROM runs WHERE id = ? AND route != ''", (run,)).fetchone()
        return Call(found[0], json.loads(found[1])) if found else None

    def finished(self, run: Begun) -> EvalRun | None:
        """Return the latest run that was finished and is the same as this one."""
        query = f"SELECT {_COLUMNS} FROM runs WHERE digest = ? AND ended != '' ORDER BY place DESC"  # noqa: S608 - ours
        with self._open() as db:
            found = db.execute(query, (run.digest,)).fetchone()
        return _run(found) if found else None

    def keep(self, run: str, item: str, outcome: Outcome) -> None:
        """Keep what an item came to."""
        body = json.dumps([dict(outcome.scores), outcome.said, outcome.note])
        with self._open() as db:
            db.execute("INSERT OR REPLACE INTO items VALUES (?, ?, ?)", (run, item, body))

    def outcomes(self, run: str) -> dict[str, Outcome]:
        """Return what the items came to, by item."""
        with self._open() as db:
            rows = db.execute("SELECT item, outcome FROM items WHERE run = ?", (run,)).fetchall()
        return {item: Outcome(*json.loads(body)) for item, body in rows}

    def finish(
        self,
        run: str,
        figures: Mapping[str, Figure],
        n: int,
        skipped: Sequence[Skipped],
        notices: Sequence[str],
        overlaps: Sequence[Overlap] = (),
    ) -> None:
        """Write down what a run came to."""
        values = (
            _now(),
            json.dumps({name: asdict(figure) for name, figure in figures.items()}),
            n,
            json.dumps([asdict(one) for one in skipped]),
            json.dumps(list(notices)),
            json.dumps([asdict(one) for one in overlaps]),
            run,
        )
        columns = "ended = ?, figures = ?, n = ?, skipped = ?, notices = ?, overlaps = ?"
        with self._open() as db:
            db.execute(f"UPDATE runs SET {columns} WHERE id = ?", values)  # noqa: S608 - ours

    def all(self) -> tuple[EvalRun, ...]:
        """Return all runs, the latest first."""
        with self._open() as db:
            rows = db.execute(f"SELECT {_COLUMNS} FROM runs ORDER BY place DESC").fetchall()  # noqa: S608 - ours
        return tuple(map(_run, rows))

    def get(self, named: str) -> EvalRun:
        """Return the run with this id, or the only one whose id begins so; `last` is the latest that was finished.

        Raises NotFound, and BadRequest where several begin so.
        """
        known = self.all()
        if named == "last":
            found = [run for run in known if run.state == "done"][:1]
        else:
            whole = [run for run in known if run.id == named]
            found = whole or [run for run in known if len(named) >= _SHORTEST and run.id.startswith(named)]
        if not found:
            raise NotFound(f"There is no run {named!r}.", "See `lorebook eval list`.")
        if len(found) > 1:
            raise BadRequest(f"{len(found)} runs begin with {named!r}.", "Type more of the id: `lorebook eval list`.")
        return found[0]

    def delete(self, run: str) -> None:
        """Forget a run."""
        with self._open() as db:
            db.execute("DELETE FROM runs WHERE id = ?", (run,))

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """Open the file, made where there is none, for one transaction."""
        try:
            with contextlib.closing(connected(self._file, _TABLES)) as db:
                db.execute("PRAGMA journal_mode = WAL")  # no wait for the disk at each item
                db.execute("PRAGMA synchronous = NORMAL")
                for column, default in (("overlaps", "[]"), ("route", ""), ("body", "{}")):
                    add_column(db, "runs", column, f"TEXT NOT NULL DEFAULT '{default}'")
                with db:
                    yield db
        except (OSError, sqlite3.Error) as error:
            told = f"The measurements in {self._file} cannot be read or written ({error})."
            raise StorageFailed(told, "Free some space; where the file is damaged, move it away.") from error


def _unfinished(db: sqlite3.Connection, run: Begun) -> str:
    found = db.execute("SELECT id FROM runs WHERE digest = ? AND ended = ''", (run.digest,)).fetchone()
    return str(found[0]) if found else ""


def _run(row: tuple[Any, ...]) -> EvalRun:
    named, kind, name, created, ended, config, versions, figures, n, skipped, notices, overlaps = row
    return EvalRun(
        id=named,
        kind=kind,
        name=name,
        state="done" if ended else "unfinished",
        created=created,
        ended=ended,
        config=json.loads(config),
        versions=json.loads(versions),
        figures={name: Figure(**figure) for name, figure in json.loads(figures).items()},
        n=n,
        skipped=tuple(Skipped(**one) for one in json.loads(skipped)),
        notices=tuple(json.loads(notices)),
        overlaps=tuple(Overlap(**one) for one in json.loads(overlaps)),
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
