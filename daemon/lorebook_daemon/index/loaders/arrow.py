"""Columns in a binary file (Parquet, Arrow, Feather): the schema, what the columns hold, and a few rows."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lorebook_daemon.index.loaders.optional import optional
from lorebook_daemon.index.loaders.records import MOST_SCANNED, sample, shown
from lorebook_daemon.index.loaders.table import MOST_COLUMNS
from lorebook_daemon.index.passage import Unit, Unreadable

BATCH = 500
"""Rows taken at once, so that a column of pictures does not fill the memory."""
_STREAM = b"\xff\xff\xff\xff"
_NOTES = (b"description", b"comment")


def load_parquet(path: Path, data: bytes) -> list[Unit]:
    """Return the table as one unit: its schema, a line a column, then its first rows, under a summary.

    Raises Unreadable for a damaged or encrypted file, and where pyarrow is not installed.
    """
    arrow, parquet = optional("pyarrow", "a Parquet file"), optional("pyarrow.parquet", "a Parquet file")
    if not data:
        return []
    try:
        file = parquet.ParquetFile(arrow.BufferReader(data), pre_buffer=False)
        names = file.schema_arrow.names
        columns = None if len(names) <= MOST_COLUMNS else names[:MOST_COLUMNS]
        batches = file.iter_batches(batch_size=BATCH, columns=columns, use_threads=False)
        rows, _ = _rows(batches, whole=False)
        return [_unit(file.schema_arrow, rows, file.metadata.num_rows)]
    except (arrow.ArrowException, OSError, ValueError) as error:
        raise Unreadable(f"a Parquet file that cannot be read: {_first_line(error)}") from error


def load_arrow(path: Path, data: bytes) -> list[Unit]:
    """Return what `load_parquet` does, for Arrow's own format, as a file, of which Feather is a name, or a stream."""
    arrow, ipc = optional("pyarrow", "an Arrow file"), optional("pyarrow.ipc", "an Arrow file")
    if not data:
        return []
    try:
        buffer = arrow.BufferReader(data)
        file = ipc.open_stream(buffer) if data.startswith(_STREAM) else ipc.open_file(buffer)
        batches = file if data.startswith(_STREAM) else map(file.get_batch, range(file.num_record_batches))
        rows, total = _rows(batches, whole=True)
        return [_unit(file.schema, rows, total)]
    except (arrow.ArrowException, OSError, ValueError) as error:
        raise Unreadable(f"an Arrow file that cannot be read: {_first_line(error)}") from error


def _rows(batches: Iterable[Any], whole: bool) -> tuple[list[list[str]], int]:
    """Return the first rows as text, at most MOST_SCANNED, and how many went by: all, where `whole`."""
    rows: list[list[str]] = []
    total = 0
    for batch in batches:
        total += batch.num_rows
        if len(rows) < MOST_SCANNED:
            batch.validate(full=True)  # pyarrow follows a damaged file's offsets wherever they lead
        for start in range(0, min(batch.num_rows, MOST_SCANNED - len(rows)), BATCH):
            rows += _texts(batch.slice(start, min(BATCH, MOST_SCANNED - len(rows))))
        if len(rows) >= MOST_SCANNED and not whole:
            break
    return rows, total


def _texts(batch: Any) -> list[list[str]]:
    columns = [[shown(value) for value in column.to_pylist()] for column in batch.columns[:MOST_COLUMNS]]
    return [list(row) for row in zip(*columns, strict=True)]


def _unit(schema: Any, rows: list[list[str]], total: int) -> Unit:
    names = [shown(name) for name in schema.names]
    table = sample("table", names, rows, total)
    fields = [f"{name}: {shown(field.type)}{_note(field.metadata)}" for name, field in zip(names, schema, strict=True)]
    return Unit("\n".join([*fields, "", *table.lines]).rstrip(), "data", context=table.context, defines=tuple(names))


def _note(metadata: dict[bytes, bytes] | None) -> str:
    """Return what a column's metadata says of it in words."""
    found = (shown(metadata[key].decode("utf-8", "replace")) for key in _NOTES if metadata and key in metadata)
    return "".join(f" -- {note}" for note in found)


def _first_line(error: Exception) -> str:
    return shown(str(error).partition("\n")[0])
