"""Another's scores, in a file of their own: as the rows have it, or as lists of numbers, one a row in their order."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lorebook_api.errors import BadRequest, NotFound
from lorebook_daemon.evaluate.rows import read_rows

_SHAPES = "It takes rows with a field, or JSON: a list of numbers, or an object of such lists. Type FILE:FIELD."


def read_scores(path: Path, field: str, count: int) -> list[Any]:
    """Return what the file has for each of `count` rows, unchecked.

    Raises BadRequest where it has no such field, or another number of scores than there are rows: nobody can tell
    which of them belong together. Raises NotFound.
    """
    found = _listed(path, field)
    if len(found) != count:
        raise BadRequest(f"{path.name} has {len(found)} scores for {count} rows.", "Put one for each row, or null.")
    return found


def _listed(path: Path, field: str) -> list[Any]:
    lists = _lists(path)
    if lists is None:
        rows = read_rows(path)
        return [row.get(_chosen(path, field, list(rows[0].fields))) for row in rows]
    return lists[_chosen(path, field, list(lists))]


def _lists(path: Path) -> dict[str, list[Any]] | None:
    """Return the lists of a JSON file by their names, a single one by an empty name; None where it has rows."""
    if path.suffix.lower() != ".json":
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise NotFound(f"{path} cannot be read: {error.strerror}.", "Name a file with scores.") from None
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"{path.name} is no JSON: {error}.", _SHAPES) from None
    if isinstance(found, dict):
        return {str(name): value for name, value in found.items() if isinstance(value, list)}
    if isinstance(found, list) and not any(isinstance(one, dict) for one in found):
        return {"": found}
    return None


def _chosen(path: Path, field: str, names: Sequence[str]) -> str:
    if field in names:
        return field
    if not field and len(names) == 1:
        return names[0]
    told = f"has no {field!r}" if field else "has more than one list of scores" if names else "has no scores"
    raise BadRequest(f"{path.name} {told}.", f"There are: {', '.join(names)}." if names else _SHAPES)
