"""The rows of a data file: CSV with a header, JSON lines, or one JSON array of objects."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
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
    return [dict(zip(names, line, strict=False)) for line in lines]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise BadRequest(f"{path.name} is not UTF-8.", "Save it as UTF-8.") from None
    except IsADirectoryError:
        raise BadRequest(f"{path} is a folder.", _SHAPES) from None
    except OSError as error:
        raise NotFound(f"{path} cannot be read: {error.strerror}.", "Name a file with the data.") from None
