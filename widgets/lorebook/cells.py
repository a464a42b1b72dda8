"""The cells of the notebook that this kernel runs: as they were saved, and as they ran since."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

_RECORD = "_lorebook_cells"
OUTPUT_LONGEST = 4000
"""Characters of a cell's outputs; of what is longer the end is kept, where an error stands."""


@dataclass(frozen=True)
class SeenCell:
    """A cell: its id and 0-based place in the notebook where those are known, what it says, what it printed."""

    source: str
    id: str = ""
    index: int | None = None
    execution_count: int | None = None
    output: str = ""


class CellRecord:
    """Remembers each cell's latest run in this session, by IPython's `pre_run_cell` and `post_run_cell`."""

    def __init__(self) -> None:
        self.running = ""
        """Id of the cell that runs, or ran last; empty where the front end does not tell ids."""
        self._ran: dict[str, SeenCell] = {}

    def begin(self, info: Any) -> None:
        """Take note of which cell runs: `pre_run_cell`."""
        self.running = getattr(info, "cell_id", None) or ""

    def record(self, result: Any) -> None:
        """Take note of what ran: `post_run_cell`."""
        cell_id = getattr(result.info, "cell_id", None) or ""
        if cell_id and result.execution_count is not None:
            cell = SeenCell(result.info.raw_cell, cell_id, None, result.execution_count)
            self._ran.pop(cell_id, None)
            self._ran[cell_id] = cell

    def newer(self, saved: SeenCell) -> SeenCell:
        """Return a saved cell as it ran since, without outputs that are of an earlier run."""
        ran = self._ran.get(saved.id)
        if ran is None or (ran.source == saved.source and ran.execution_count == saved.execution_count):
            return saved
        return replace(ran, index=saved.index)

    def unsaved(self, known: set[str]) -> tuple[SeenCell, ...]:
        """Return the cells that ran and are not among `known`, in the order of their runs."""
        return tuple(cell for cell in self._ran.values() if cell.id not in known)


def record_of(shell: Any) -> CellRecord:
    """Return the record of this session, which begins when it is first asked for."""
    record = getattr(shell, _RECORD, None)
    if record is None:
        record = CellRecord()
        record.running = running_cell(shell)
        shell.events.register("pre_run_cell", record.begin)
        shell.events.register("post_run_cell", record.record)
        setattr(shell, _RECORD, record)
    return record


def forget_record(shell: Any) -> None:
    """End the record of this session."""
    record = getattr(shell, _RECORD, None)
    if record is not None:
        shell.events.unregister("pre_run_cell", record.begin)
        shell.events.unregister("post_run_cell", record.record)
        delattr(shell, _RECORD)


def running_cell(shell: Any) -> str:
    """Return the id of the cell that runs now, empty where the front end does not tell ids."""
    kernel = getattr(shell, "kernel", None)
    metadata = kernel.get_parent().get("metadata") if kernel is not None else None
    return str((metadata or {}).get("cellId", ""))


def notebook_file(names: Mapping[str, Any]) -> Path | None:
    """Return the notebook that this kernel belongs to, None where the front end does not say.

    Jupyter Server says it in the environment, VS Code in the kernel's names.
    """
    told = names.get("__vsc_ipynb_file__") or os.environ.get("JPY_SESSION_NAME", "")
    path = Path(str(told)) if told else None
    return path if path is not None and path.suffix == ".ipynb" and path.is_file() else None


def read_cells(file: Path) -> tuple[SeenCell, ...]:
    """Return the cells of a notebook as it is saved; none where it cannot be read."""
    try:
        cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
        return tuple(_cell(index, cell) for index, cell in enumerate(cells))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ()


def _cell(index: int, cell: Mapping[str, Any]) -> SeenCell:
    output = "\n".join(filter(None, (_output(one) for one in cell.get("outputs", ()))))
    return SeenCell(
        source=_joined(cell.get("source", "")),
        id=str(cell.get("id", "")),
        index=index,
        execution_count=cell.get("execution_count"),
        output=output[-OUTPUT_LONGEST:],
    )


def _output(output: Mapping[str, Any]) -> str:
    if output.get("output_type") == "error":
        return f"{output.get('ename', '')}: {output.get('evalue', '')}"
    text = output.get("text", "") or output.get("data", {}).get("text/plain", "")
    return _joined(text).rstrip()


def _joined(text: Any) -> str:
    return text if isinstance(text, str) else "".join(text)
