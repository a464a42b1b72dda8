"""The errors of this session, as text, by execution number: what `{Err[7]}` stands for."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any

KEPT = 200


class Tracebacks(Mapping[int, str]):
    """Remembers the traceback of each execution that failed; only the last 200."""

    def __init__(self) -> None:
        self._texts: dict[int, str] = {}

    def __getitem__(self, number: int) -> str:
        return self._texts[number]

    def __iter__(self) -> Iterator[int]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)

    def record(self, result: Any) -> None:
        """Take note of how an execution ended: IPython's `post_run_cell`."""
        error = result.error_before_exec or result.error_in_exec
        if error is None or result.execution_count is None:
            return
        self._texts[result.execution_count] = describe(error)
        while len(self._texts) > KEPT:
            del self._texts[next(iter(self._texts))]


def describe(error: BaseException) -> str:
    """Return the traceback from the person's own code on: IPython's frames above it say nothing."""
    frames = error.__traceback__
    while frames is not None and _of_ipython(frames):
        frames = frames.tb_next
    return "".join(traceback.format_exception(type(error), error, frames)).rstrip()


def _of_ipython(frames: TracebackType) -> bool:
    return str(frames.tb_frame.f_globals.get("__name__", "")).startswith(("IPython.", "ipykernel."))
