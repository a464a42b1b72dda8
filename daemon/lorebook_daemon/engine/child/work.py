"""What a request asks of the scheduler: tokens to decode, or a pause, one step after another."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import TypeVar

from lorebook_daemon.engine.child.adapters import AdapterSet

T = TypeVar("T")


@dataclass(frozen=True)
class Piece:
    """Consecutive tokens for one sequence, from `position` on, read under an adapter set.

    `logits` is of how many of the last tokens the logits are wanted, `hidden` whether their hidden states are, too.
    """

    sequence: int
    position: int
    tokens: Sequence[int]
    adapters: AdapterSet = ()
    logits: int = 0
    hidden: bool = False

    def first(self, n: int) -> Piece:
        """Return the first `n` tokens alone; their logits are not wanted."""
        return replace(self, tokens=self.tokens[:n], logits=0)

    def rest(self, n: int) -> Piece:
        """Return what follows the first `n` tokens."""
        return replace(self, tokens=self.tokens[n:], position=self.position + n)


class Wait(Enum):
    """Why a request pauses."""

    room = "until another request has ended and left its room in the context"
    block = "until another request has read the passage that both need"


Rows = list[int]
"""Where the logits that a piece asked for lie: rows of the last batch, readable until the next step."""

Work = Generator[Piece | Wait, Rows, T]
"""A request as steps: it yields what it needs next and is sent the rows of the logits; what it returns is its result.

`NoSlot` may be thrown in at any step: its room is needed for others. It then gives it back and waits.
"""


class NoSlot(Exception):
    """The context has no room for these tokens beside what it holds."""
