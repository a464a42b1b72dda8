"""DuckDB databases: for each table its definition, comments, what its columns hold, and a few rows."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

from lorebook_daemon.index.loaders.optional import optional
from lorebook_daemon.index.loaders.records import MOST_SCANNED, sample, shown
from lorebook_daemon.index.loaders.table import MOST_COLUMNS
from lorebook_daemon.index.passage import Unit, Unreadable

MAGIC = b"DUCK"
MAGIC_AT = 8
_CLOSED = {
    "access_mode": "READ_ONLY",
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "temp_directory": "",
    "threads": "1",
    "memory_limit": "512MB",
}
"""Nothing else is opened, written or loaded, whatever stands in the file."""
_TABLES = """
SELECT schema_name, table_name, sql, comment, true FROM duckdb_tables() WHERE NOT internal AND NOT temporary
UNION ALL
SELECT schema_name, view_name, sql, comment, false FROM duckdb_views() WHERE NOT internal AND NOT temporary
ORDER BY ALL"""
_COMMENTS = """
SELECT column_name, comment FROM duckdb_columns()
WHERE schema_name = ? AND table_name = ? AND comment IS NOT NULL ORDER BY column_index"""


def load_duckdb(path: Path, data: bytes) -> list[Unit]:
    """Return a unit for each table and view; lines count in the extracted text, on from table to table.

    The file is opened read-only and alone; no view is run. Raises Unreadable for what is no DuckDB database, one
    that another process writes to, and where duckdb is not installed.
    """
    if not data:
        return []
    if data[MAGIC_AT : MAGIC_AT + len(MAGIC)] != MAGIC:
        raise Unreadable("not a DuckDB database")
    duckdb = optional("duckdb", "a DuckDB database")
    try:
        with closing(duckdb.connect(str(path.resolve()), config=_CLOSED)) as database:
            return _units(database)
    except duckdb.Error as error:
        why = shown(str(error).partition("\n")[0])
        raise Unreadable(f"a DuckDB database that cannot be read: {why}") from error


def _units(database: Any) -> list[Unit]:
    units: list[Unit] = []
    line = 1
    for schema, name, sql, comment, stored in database.execute(_TABLES).fetchall():
        shown_name = shown(name if schema == "main" else f"{schema}.{name}")
        notes = _notes(database, schema, name, comment)
        rows, context = _rows(database, schema, name, shown_name) if stored else ((), (f"view {shown_name}",))
        text = "\n".join([*notes, *_definition(sql), *rows])
        units.append(Unit(text, "data", start_line=line, context=context, defines=(shown_name,)))
        line += text.count("\n") + 1
    return units


def _definition(sql: str | None) -> list[str]:
    """Return a definition's lines."""
    return [bare for row in (sql or "").strip().split("\n") if (bare := row.rstrip())]


def _notes(database: Any, schema: str, name: str, comment: str | None) -> list[str]:
    columns = database.execute(_COMMENTS, [schema, name]).fetchall()
    own = [f"-- {shown(comment)}"] if comment else []
    return [*own, *(f"-- {shown(column)}: {shown(note)}" for column, note in columns)]


def _rows(database: Any, schema: str, name: str, label: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the lines that show a table's rows, and its summary."""
    quoted = ".".join('"' + part.replace('"', '""') + '"' for part in (schema, name))
    total = database.execute(f"SELECT count(*) FROM {quoted}").fetchone()[0]  # noqa: S608 - quoted above
    cursor = database.execute(f"SELECT * FROM {quoted} LIMIT {MOST_SCANNED}")  # noqa: S608
    header = [shown(column[0]) for column in cursor.description]
    records: list[list[str]] = []
    while rows := cursor.fetchmany(1_000):
        records += [[shown(value) for value in row[:MOST_COLUMNS]] for row in rows]
    table = sample(f"table {label}", header, records, total)
    return table.lines, table.context
