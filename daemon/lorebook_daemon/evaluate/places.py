"""Where the right passage stands among those that were found: NDCG, recall, reciprocal rank."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

DEPTH = 10


class Found(Protocol):
    """A passage that was found."""

    @property
    def path(self) -> str: ...  # noqa: D102
    @property
    def start_line(self) -> int: ...  # noqa: D102
    @property
    def end_line(self) -> int: ...  # noqa: D102
    @property
    def cell_index(self) -> int | None: ...  # noqa: D102


@dataclass(frozen=True)
class Place:
    """Lines where an answer stands: 1-based and inclusive, in a notebook those of its cell. Line 0: anywhere there."""

    path: str
    start_line: int = 0
    end_line: int = 0
    cell_index: int | None = None

    def holds(self, found: Found) -> bool:
        """Return whether a passage holds some of the lines."""
        if found.path != self.path or (self.cell_index is not None and found.cell_index != self.cell_index):
            return False
        return not self.start_line or (found.start_line <= self.end_line and found.end_line >= self.start_line)


def first_right(found: Sequence[Found], right: Sequence[Place]) -> int:
    """Return at which rank of a list the first right passage stands, 0 where none does; any right place is as good.

    So one right passage is looked for, as in the benchmarks: the ideal list has it first.
    """
    return next((rank for rank, one in enumerate(found, 1) if any(place.holds(one) for place in right)), 0)


def ndcg10(rank: int) -> float:
    """Return the NDCG of the first ten where the right passage stands at `rank`."""
    return 1 / math.log2(rank + 1) if 0 < rank <= DEPTH else 0.0


def recall10(rank: int) -> float:
    """Return 1.0 where the right passage is among the first ten, else 0.0."""
    return float(0 < rank <= DEPTH)


def reciprocal(rank: int) -> float:
    """Return 1 ÷ rank, 0.0 where there is none."""
    return 1 / rank if rank else 0.0
