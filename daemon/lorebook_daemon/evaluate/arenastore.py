"""The arena's battles and votes, in SQLite in the state folder. A battle's sides are told once it has a vote."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from lorebook_api.arena import Preference, Revealed, Side, Winner
from lorebook_api.errors import Conflict, NotFound, StorageFailed
from lorebook_daemon.database import add_column, connected

_TABLE = """
CREATE TABLE IF NOT EXISTS battles (
    place INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, created TEXT NOT NULL, question TEXT NOT NULL,
    sides TEXT NOT NULL, answers TEXT NOT NULL, winner TEXT NOT NULL DEFAULT '', judge TEXT NOT NULL DEFAULT '',
    adapters TEXT NOT NULL DEFAULT '[[], []]');
"""


@dataclass(frozen=True)
class Fought:
    """A battle that was voted on: the sides as they were shown, their answers, the vote, and who gave it."""

    question: str
    sides: tuple[str, str]
    answers: tuple[str, str]
    winner: Winner
    judge: str = ""
    """The model that voted; empty for a person."""
    adapters: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    """Names of those that acted for each side."""


class ArenaStore:
    """The battles of one home. Each call opens the file anew, so it may be made from any thread.

    Every method raises StorageFailed where the file cannot be read or written.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / "arena.sqlite3"

    def add(self, question: str, sides: tuple[Side, Side], answers: tuple[str, str]) -> str:
        """Keep a battle without a vote; return its id."""
        named = uuid.uuid4().hex[:12]
        with self._open() as db:
            _insert(db, named, question, sides, answers)
        return named

    def answer(self, battle: str, question: str, sides: tuple[Side, Side], place: int, text: str) -> None:
        """Keep what one of the sides answered in a battle that nobody is to see before both have; see `battle_of`."""
        with self._open() as db:
            found = db.execute("SELECT answers FROM battles WHERE id = ?", (battle,)).fetchone()
            answers = json.loads(found[0]) if found else [None, None]
            answers[place] = text
            if found:
                db.execute("UPDATE battles SET answers = ? WHERE id = ?", (json.dumps(answers), battle))
            else:
                _insert(db, battle, question, sides, answers)

    def answers(self, run: str) -> dict[int, tuple[str | None, str | None]]:
        """Return what the sides have answered in the battles of a run, by row; None where they have not."""
        with self._open() as db:
            start = battle_of(run, "")
            rows = db.execute("SELECT id, answers FROM battles WHERE substr(id, 1, ?) = ?", (len(start), start))
            return {int(named[len(start) :]): tuple(json.loads(answers)) for named, answers in rows}

    def settle(self, battle: str, winner: Winner, judge: str) -> None:
        """Keep a judge's vote, unless the battle has it already."""
        with self._open() as db:
            query = "UPDATE battles SET winner = ?, judge = ? WHERE id = ? AND winner = ''"
            db.execute(query, (winner, judge, battle))

    def drop(self, run: str) -> None:
        """Forget the battles of a run that have no vote."""
        with self._open() as db:
            start = battle_of(run, "")
            db.execute("DELETE FROM battles WHERE substr(id, 1, ?) = ? AND winner = ''", (len(start), start))

    def vote(self, battle: str, winner: Winner, judge: str = "") -> Revealed:
        """Keep a vote and tell the sides; raises NotFound, and Conflict for a battle that has its vote already."""
        with self._open() as db:
            found = db.execute("SELECT sides, winner FROM battles WHERE id = ?", (battle,)).fetchone()
            if found is None:
                raise NotFound(f"There is no battle {battle!r}.", "Begin one: lorebook eval arena play")
            if found[1]:
                raise Conflict(f"The battle {battle} has its vote already ({found[1]}).", "Begin another one.")
            db.execute("UPDATE battles SET winner = ?, judge = ? WHERE id = ?", (winner, judge, battle))
        a, b = json.loads(found[0])
        return Revealed(battle, a, b, winner)

    def fought(self) -> tuple[Fought, ...]:
        """Return the battles with a vote, oldest first."""
        with self._open() as db:
            columns = "question, sides, answers, winner, judge, adapters"
            query = f"SELECT {columns} FROM battles WHERE winner != '' ORDER BY place"  # noqa: S608 - ours
            rows = db.execute(query).fetchall()
        return tuple(
            Fought(question, _two(sides), _two(answers), winner, judge, _acting(adapters))
            for question, sides, answers, winner, judge, adapters in rows
        )

    def clear(self) -> int:
        """Forget all battles; return how many there were."""
        with self._open() as db:
            return db.execute("DELETE FROM battles").rowcount

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            with contextlib.closing(connected(self._file, _TABLE)) as db:
                add_column(db, "battles", "adapters", "TEXT NOT NULL DEFAULT '[[], []]'")
                with db:
                    yield db
        except (OSError, sqlite3.Error) as error:
            told = f"The arena's votes in {self._file} cannot be read or written ({error})."
            raise StorageFailed(told, "Free some space; where the file is damaged, move it away.") from error


def battle_of(run: str, row: int | str) -> str:
    """Return the id of the battle over a row in a run in which a judge votes."""
    return f"{run}-{row}"


def _insert(
    db: sqlite3.Connection, named: str, question: str, sides: tuple[Side, Side], answers: Sequence[str | None]
) -> None:
    created = datetime.now(UTC).isoformat(timespec="seconds")
    names, adapters = [side.name for side in sides], [[use.name for use in side.adapters] for side in sides]
    row = (named, created, question, json.dumps(names), json.dumps(answers), json.dumps(adapters))
    columns = "id, created, question, sides, answers, adapters"
    db.execute(f"INSERT INTO battles ({columns}) VALUES (?, ?, ?, ?, ?, ?)", row)  # noqa: S608 - ours


def preferences(fought: Sequence[Fought]) -> tuple[Preference, ...]:
    """Return the votes of people as pairs to learn from: those with a winner, whose answers differ."""
    pairs = []
    for one in fought:
        if one.judge or one.winner not in ("a", "b") or one.answers[0] == one.answers[1]:
            continue
        chosen, rejected = one.answers if one.winner == "a" else one.answers[::-1]
        pairs.append(Preference(one.question, chosen, rejected))
    return tuple(pairs)


def _two(text: str) -> tuple[str, str]:
    first, second = json.loads(text)
    return str(first), str(second)


def _acting(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    first, second = json.loads(text)
    return tuple(first), tuple(second)
