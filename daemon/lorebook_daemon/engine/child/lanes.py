"""The context's sequences: what each holds, token by token, who works in it, and which goes when room is needed."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from lorebook_daemon.engine.child.llama import Llama
from lorebook_daemon.engine.child.work import NoSlot

_IDLE_MOST = 2048
"""Tokens that idle lanes hold together: attention passes over them too, and room for them must be made."""

Entry = int
"""A token together with all that its KV depends on beside the tokens before it (see `layout.entries`)."""


@dataclass
class Lane:
    """One sequence and what was read into it; idle lanes are kept, since the next prompt may begin the same."""

    sequence: int
    entries: array[int] = field(default_factory=lambda: array("q"))
    busy: bool = False
    used: int = 0

    @property
    def end(self) -> int:
        """The position where the next token goes."""
        return len(self.entries)


class Lanes:
    """All sequences of one context."""

    def __init__(self, llama: Llama) -> None:
        """Begin with none of them in use."""
        self._llama = llama
        self._lanes: dict[int, Lane] = {}
        self._clock = 0

    def take(self) -> Lane:
        """Return an empty lane, in place of the idle one that was used longest ago if none is free; raises NoSlot."""
        free = next((n for n in range(self._llama.sequences) if n not in self._lanes), None)
        if free is None:
            if not self.evict():
                raise NoSlot
            return self.take()
        lane = Lane(free, busy=True)
        self._lanes[free] = lane
        return lane

    def begin(self, entries: Sequence[Entry], keep: int) -> Lane:
        """Return a lane that holds the longest beginning of `entries` that was read, of at most `keep` entries.

        An idle lane goes on where the new text only adds to what it holds; else its beginning is shared, which takes
        no room, and the lane stays as it is for those who come back to it. Raises NoSlot.
        """
        wanted = array("q", entries)
        known = {n: _equal(lane.entries, wanted) for n, lane in self._lanes.items()}
        if not self._llama.can_shift:  # such a state can be gone on with, not cut; a busy one may be further than noted
            idle = {n: lane.end for n, lane in self._lanes.items() if not lane.busy}
            known = {n: end for n, end in idle.items() if known[n] == end <= keep}
        best = max(known, key=lambda n: known[n], default=-1)
        same = min(known.get(best, 0), keep)
        if not same:
            return self.take()
        lane = self._lanes[best]
        if not lane.busy and lane.end - same <= 1:
            lane.busy = True
            self.cut(lane, same)
            return lane
        return self._shared(lane, same)

    def _shared(self, source: Lane, same: int) -> Lane:
        was, source.busy = source.busy, True  # so that it is not the one that makes room
        try:
            lane = self.take()
        except NoSlot:
            source.busy = was
            if was:
                raise
            source.busy = True
            self.cut(source, same)
            return source
        source.busy = was
        self._llama.copy(source.sequence, lane.sequence, same if self._llama.can_shift else -1)
        lane.entries.extend(source.entries[:same])
        return lane

    def cut(self, lane: Lane, end: int) -> None:
        """Drop all from position `end` on, what was decoded but not noted too."""
        if self._llama.remove(lane.sequence, end):
            del lane.entries[end:]
        else:  # a recurrent state: nothing of it is left
            self._llama.remove(lane.sequence)
            del lane.entries[:]

    def leave(self, lane: Lane) -> None:
        """Give a lane back; it is kept, as the most recently used."""
        self._clock += 1
        lane.busy, lane.used = False, self._clock
        self.cut(lane, lane.end)
        if not lane.end:
            self.drop(lane)
        while sum(one.end for one in self._lanes.values() if not one.busy and one is not lane) > _IDLE_MOST:
            self.evict()

    def drop(self, lane: Lane) -> None:
        """Empty a lane and free its sequence."""
        self._llama.remove(lane.sequence)
        self._lanes.pop(lane.sequence, None)

    def evict(self) -> bool:
        """Drop the idle lane that was used longest ago; False where all are at work."""
        idle = min((lane for lane in self._lanes.values() if not lane.busy), key=lambda lane: lane.used, default=None)
        if idle:
            self.drop(idle)
        return idle is not None

    def has_room(self, tokens: int) -> bool:
        """Return whether so many tokens surely find room: what several lanes share counts for each of them."""
        return bool(sum(lane.end for lane in self._lanes.values()) + tokens <= self._llama.n_ctx)

    def clear(self) -> None:
        """Drop every idle lane."""
        while self.evict():
            pass


def _equal(left: array[int], right: array[int]) -> int:
    """Return how many entries are equal from the start."""
    n = min(len(left), len(right))
    differ = np.frombuffer(left, np.int64, n) != np.frombuffer(right, np.int64, n) if n else np.zeros(0, bool)
    first = int(differ.argmax()) if n else 0
    return first if n and differ[first] else n
