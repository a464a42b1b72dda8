"""SQLite databases: for each table its definition, what its columns hold, and a few rows."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from lorebook_daemon.index.loaders.duckdb import load_duckdb
from lorebook_daemon.index.loaders.encoding import printable, with_newlines
from lorebook_daemon.index.loaders.records import MOST_SCANNED, sample, shown
from lorebook_daemon.index.passage import Unit, Unreadable

MAGIC = b"SQLite format 3\0"
DUCKDB, DUCKDB_AT = b"DUCK", 8


def load_sqlite(path: Path, data: bytes) -> list[Unit]:
    """Return a unit for each table and view; lines count in the extracted text, on from table to table.

    The file is opened read-only and as one that nobody changes, so that nothing is ever written beside it; no
    view, trigger or virtual table is run. A DuckDB database is read as one. Raises Unreadable for what is neither.
    """
    if not data:
        return []
    if data[DUCKDB_AT:].startswith(DUCKDB):  # `.db` is what both are called
        return load_duckdb(path, data)
    if not data.startswith(MAGIC):
        raise Unreadable("not a SQLite database")
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)) as database:
            database.text_factory = lambda value: value.decode("utf-8", "replace")
            database.execute("PRAGMA trusted_schema = OFF")
            return _units(database)
    except sqlite3.Error as error:
        raise Unreadable(f"a damaged SQLite database: {error}") from error


def _units(database: sqlite3.Connection) -> list[Unit]:
    tables = database.execute(
        "SELECT name, type, sql FROM sqlite_master WHERE type IN ('table', 'view') AND sql IS NOT NULL "
        "AND name NOT LIKE 'sqlite!_%' ESCAPE '!' ORDER BY rowid"
    ).fetchall()
    units: list[Unit] = []
    line = 1
    for name, kind, sql in tables:
        definition = f"{with_newlines(sql.strip())};"
        readable = kind == "table" and "VIRTUAL" not in sql.upper().split("(")[0].split()
        rows, context = _rows(database, name) if readable else ([], (f"{kind} {name}",))
        text = "\n".join([*definition.split("\n"), *rows])
        units.append(Unit(text, "data", start_line=line, context=context, defines=(printable(name),)))
        line += text.count("\n") + 1
    return units


def _rows(database: sqlite3.Connection, name: str) -> tuple[list[str], tuple[str, ...]]:
    """Return the lines that show a table's rows, and its summary."""
    quoted = '"' + name.replace('"', '""') + '"'
    total = database.execute(f"SELECT count(*) FROM {quoted}").fetchone()[0]  # noqa: S608 - quoted above
    cursor = database.execute(f"SELECT * FROM {quoted} LIMIT {MOST_SCANNED}")  # noqa: S608
    header = [printable(column[0]) for column in cursor.description]
    found = sample(f"table {name}", header, [[shown(value) for value in row] for row in cursor], total)
    return [*found.lines], found.context
