"""The ids that rows carry, by the names that published sets give them; and which come twice."""

from __future__ import annotations

from collections.abc import Sequence

from lorebook_daemon.evaluate.rows import Row

ID_FIELDS = ("id", "qID", "task_id", "question_id", "ind")
"""WinoGrande's is `qID`, MBPP's and HumanEval's `task_id`, HellaSwag's `ind`."""
_NAMED_MOST = 5


def own_id(row: Row) -> str:
    """Return the id that a row carries; empty where it carries none."""
    values = (row.get(name) for name in ID_FIELDS)
    return next((str(value) for value in values if value is not None and str(value).strip()), "")


def twice(rows: Sequence[Row]) -> tuple[str, ...]:
    """Return a notice of the rows that have the id of an earlier one, where there are any; they are measured too."""
    first, again = dict[str, int](), list[str]()
    for row in rows:
        name = own_id(row)
        if name and first.setdefault(name, row.number) != row.number:
            again.append(f"row {row.number} has the id {name} of row {first[name]}")
    if not again:
        return ()
    more = f", and {len(again) - _NAMED_MOST} more" if len(again) > _NAMED_MOST else ""
    return (f"ids that come twice: {'; '.join(again[:_NAMED_MOST])}{more}. All rows count.",)
