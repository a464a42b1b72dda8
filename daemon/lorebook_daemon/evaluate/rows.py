"""The rows of a data file: CSV with a header, JSON lines, or one JSON array of objects."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorebook_api.errors import BadRequest, NotFound
from lorebook_daemon.teach.datafile import json_lines

_SHAPES = "It takes .csv with a header line, .jsonl with an object a line, or .json with a list of objects."


class Unusable(ValueError):
    """Why a row cannot be used."""


@dataclass(frozen=True)
class Row:
    """One row: where it stands (1-based, as people count rows; a header is none), and its fields."""

    number: int
    fields: Mapping[str, Any]

    def text(self, name: str) -> str:
        """Return a field that must hold text; raises Unusable where it is missing, or is no text."""
        value = self.fields.get(name)
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise Unusable(f"`{name}` is {'missing' if value is None else 'no text'}")
        return str(value)

    def get(self, name: str) -> Any:
        """Return a field as it stands; None where there is none, or where nobody knows which cell it is."""
        try:
            return self.fields.get(name)
        except Unusable:
            return None


def read_rows(path: Path, header: tuple[str, ...] = ()) -> list[Row]:
    """Return the rows of a file, in its order; a CSV file without a header has the columns `header`.

    Raises NotFound, and BadRequest for what is none of the three shapes, or holds no row.
    """
    rows = [Row(number, fields) for number, fields in enumerate(_objects(path, header), 1)]
    if not rows:
        raise BadRequest(f"{path.name} holds no rows.", _SHAPES)
    return rows


def _objects(path: Path, header: tuple[str, ...]) -> Iterable[Mapping[str, Any]]:
    text = _text(path)
    if path.suffix.lower() == ".csv":
        return _csv(path, text, header)
    try:
        found = json.loads(text) if path.suffix.lower() == ".json" else json_lines(text)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"{path.name} is no JSON: {error}.", _SHAPES) from None
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise BadRequest(f"{path.name} holds something else than objects.", _SHAPES)
    return found


def _csv(path: Path, text: str, header: tuple[str, ...]) -> list[Mapping[str, Any]]:
    try:
        lines = [line for line in csv.reader(io.StringIO(text, newline=""), strict=True) if line]
    except csv.Error as error:
        raise BadRequest(f"{path.name} is no CSV: {error}.", _SHAPES) from None
    names = header or tuple(name.strip() for name in (lines.pop(0) if lines else ()))
    names = _used(names, lines)
    twice = next((name for place, name in enumerate(names) if name in names[:place]), None)
    if twice is not None:
        raise BadRequest(f"{path.name} has several columns called {twice!r}.", "Name each column of the header once.")
    return [_fields(names, line) for line in lines]


def _used(names: tuple[str, ...], lines: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Return the columns without those at the end that have no name and hold nothing: a spreadsheet writes such."""
    while names and not names[-1] and not any(cell.strip() for line in lines for cell in line[len(names) - 1 :]):
        names = names[:-1]
    return names


def _fields(names: tuple[str, ...], line: Sequence[str]) -> Mapping[str, Any]:
    """Return a row by its columns. Empty cells behind the last column are none."""
    cells = len(line)
    while cells > len(names) and not line[cells - 1].strip():
        cells -= 1
    found = dict(zip(names, line, strict=False))
    return found if cells == len(names) else _Uneven(found, names, f"has {cells} cells, the header {len(names)}")


class _Uneven(Mapping[str, Any]):
    """A row whose cells are not as many as the columns, so that nobody knows which is which.

    Of one that is too long no cell can be used. Of one that is too short those that are there can: a question with
    fewer choices than others has such a row. Who asks for another hears why it is missing.
    """

    def __init__(self, cells: Mapping[str, str], names: tuple[str, ...], why: str) -> None:
        self._cells, self._why = cells, why
        self._lost = frozenset(names) - cells.keys() if len(cells) < len(names) else frozenset(names)

    def __getitem__(self, name: str) -> str:
        if name in self._lost:
            raise Unusable(self._why)
        return self._cells[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._cells)

    def __len__(self) -> int:
        return len(self._cells)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise BadRequest(f"{path.name} is not UTF-8.", "Save it as UTF-8.") from None
    except IsADirectoryError:
        raise BadRequest(f"{path} is a folder.", _SHAPES) from None
    except OSError as error:
        raise NotFound(f"{path} cannot be read: {error.strerror}.", "Name a file with the data.") from None
