"""What can go to the model beside a question: cells, an error, outputs, variables. Only what was asked for."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lorebook.cells import OUTPUT_LONGEST, CellRecord, SeenCell, notebook_file, read_cells
from lorebook.masking import mask
from lorebook.tracebacks import describe
from lorebook.variables import describe_variable
from lorebook_api.asking import Attachment
from lorebook_api.errors import BadRequest, NotFound

ABOVE_MOST = 20
"""Cells above that are sent at the most: the nearest."""
VARIABLE = "var:"
"""Before the name of a variable, among what is wanted."""


@dataclass(frozen=True)
class Gathered:
    """What goes along, secrets hidden, and what the person should know of it."""

    attachments: tuple[Attachment, ...] = ()
    notices: tuple[str, ...] = ()


class Surroundings:
    """The notebook around a question, as its kernel knows it.

    `names` are the names of the session; `here` is the id of the cell that asks, empty where the front end does not
    tell; paths are told relative to `root`.
    """

    def __init__(
        self, names: Mapping[str, Any], record: CellRecord, root: str, show: Callable[[Any], str], here: str = ""
    ) -> None:
        self._names = names
        self._record = record
        self._root = root
        self._show = show
        self.here = here

    def gather(self, wanted: Sequence[str]) -> Gathered:
        """Return what the words of `CONTEXTS`, or `var:NAME`, mean now.

        Raises BadRequest for another word, NotFound for what is not there: no error, no such variable.
        """
        parts = [self._one(word) for word in dict.fromkeys(wanted)]
        return Gathered(
            tuple(_masked(attachment) for part in parts for attachment in part.attachments),
            tuple(notice for part in parts for notice in part.notices),
        )

    def last_cell(self) -> Gathered:
        """Return the cell that ran last before the one that asks."""
        return Gathered((self._attached(self._last()),))

    def cells_above(self) -> Gathered:
        """Return the cells above the one that asks; all of them where it is not known which one asks."""
        cells = [cell for cell in self._above() if cell.source.strip()]
        if not cells:
            raise NotFound("No cell stands above this one.", "Save the notebook, so that its cells are known.")
        left = len(cells) - ABOVE_MOST
        notices = (f"{left} cells further up are not sent.",) if left > 0 else ()
        return Gathered(tuple(self._attached(cell) for cell in cells[-ABOVE_MOST:]), notices)

    def last_error(self) -> Gathered:
        """Return the last error of the session, with its traceback from the person's own code on."""
        error = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
        if error is None:
            raise NotFound("There was no error in this session.", "Ask without it.")
        return Gathered((Attachment("the last error", describe(error)),))

    def last_output(self) -> Gathered:
        """Return what the cell that ran last shows."""
        cell = self._last()
        output = self._output_of(cell)
        if not output.strip():
            raise NotFound(f"{_title(cell)} has no output that is known here.", "Save the notebook, then try again.")
        return Gathered((Attachment(f"output of {_title(cell)}", output),))

    def variable(self, name: str) -> Gathered:
        """Return what is told of one variable."""
        if name not in self._names:
            raise NotFound(f"There is no variable {name!r}.", "Name one that this session has.")
        return Gathered((Attachment(f"variable {name}", describe_variable(name, self._names[name])),))

    def _one(self, word: str) -> Gathered:
        if word.startswith(VARIABLE):
            return self.variable(word.removeprefix(VARIABLE))
        if word not in CONTEXTS:
            raise BadRequest(f"{word!r} is nothing that can be sent along.", f"There are: {', '.join(CONTEXTS)}")
        return CONTEXTS[word](self)

    def _cells(self) -> tuple[SeenCell, ...]:
        file = notebook_file(self._names)
        saved = read_cells(file) if file else ()
        return (*(self._record.newer(cell) for cell in saved), *self._record.unsaved({cell.id for cell in saved}))

    def _above(self) -> tuple[SeenCell, ...]:
        cells = self._cells()
        if not cells:
            return self._typed()
        at = next((i for i, cell in enumerate(cells) if cell.id and cell.id == self.here), len(cells))
        return cells[:at]

    def _typed(self) -> tuple[SeenCell, ...]:
        """Return what was typed in this session, where no cells are known: IPython's own list, without this input."""
        typed = list(self._names.get("In", ()))[:-1]
        return tuple(SeenCell(source, execution_count=n) for n, source in enumerate(typed) if source.strip())

    def _last(self) -> SeenCell:
        ran = [cell for cell in self._record.unsaved(set()) if cell.id != self.here] or list(self._typed())
        if not ran:
            raise NotFound("No other cell has run in this session.", "Run it first.")
        return next((cell for cell in self._cells() if cell.id and cell.id == ran[-1].id), ran[-1])

    def _output_of(self, cell: SeenCell) -> str:
        values = self._names.get("Out", {})
        if cell.output or cell.execution_count not in values:
            return cell.output
        return self._show(values[cell.execution_count])[-OUTPUT_LONGEST:]

    def _attached(self, cell: SeenCell) -> Attachment:
        path = self._path()
        if not (path and cell.id and cell.index is not None):
            return Attachment(_title(cell), cell.source)
        return Attachment(_title(cell), cell.source, path, 1, cell.id, cell.index, cell.execution_count)

    def _path(self) -> str:
        """Return the notebook's path below the root, empty where it stands elsewhere."""
        file = notebook_file(self._names)
        if file is None or not self._root:
            return ""
        try:
            return Path(os.path.realpath(file)).relative_to(os.path.realpath(self._root)).as_posix()
        except ValueError:
            return ""


CONTEXTS: dict[str, Callable[[Surroundings], Gathered]] = {
    "cell": Surroundings.last_cell,
    "above": Surroundings.cells_above,
    "error": Surroundings.last_error,
    "output": Surroundings.last_output,
}
"""What can be sent along, by the words that ask for it."""


def _title(cell: SeenCell) -> str:
    ran = f"[In {cell.execution_count}]" if cell.execution_count is not None else ""
    place = f"cell {cell.index}" if cell.index is not None else "cell"
    return f"{place} {ran}".strip()


def _masked(attachment: Attachment) -> Attachment:
    return replace(attachment, text=mask(attachment.text))
