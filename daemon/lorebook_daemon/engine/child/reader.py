"""Reads prompts into sequences of KV, computing only what was not read before.

A prompt is a head, passages, and a tail. In `blocks` mode each passage is read by itself right after the head, and its
KV is kept and moved to wherever the passage stands next time: passages cost nothing again in any order. In `prefix`
mode a prompt is one run of tokens, of which the longest beginning that is in the context is kept. A recurrent state can
be neither cut nor moved: there the state after the head and after each passage is kept, to go on from.
Cf. Prompt Cache, arXiv:2311.04934.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from lorebook_daemon.engine.child.adapters import AdapterSet
from lorebook_daemon.engine.child.blocks import Blocks, block_key
from lorebook_daemon.engine.child.chat import PromptTokens
from lorebook_daemon.engine.child.lanes import Lane, Lanes
from lorebook_daemon.engine.child.layout import Layout, Segment
from lorebook_daemon.engine.child.llama import Llama
from lorebook_daemon.engine.child.work import NoSlot, Piece, Rows, Wait, Work
from lorebook_daemon.engine.diskblocks import BlockKey

_FEWEST = 24
"""Tokens from which on a recurrent state is worth keeping."""

_WHOLE = 64
"""Tokens of a segment that is always read as a whole, so that the same prompt gives the same logits to the bit. Not in
measuring: where many short prompts begin alike, that would be most of the work, and their batches differ anyway."""

_SCORED = 96
"""Tokens whose logits are all wanted, at a time: some are left for the others of a batch."""


@dataclass
class Reading:
    """A prompt that was read into a lane, and goes on there under its last adapters."""

    lane: Lane
    last: Segment
    rows: Rows
    cached: int


class Reader:
    """Owns the context's sequences. Its works may be closed at any step: what they leave is whole or gone."""

    def __init__(self, llama: Llama, mode: Literal["blocks", "prefix", "off"], blocks: Blocks) -> None:
        """Keep passages' KV, or states, in `blocks`."""
        self._llama = llama
        self._mode = mode
        self._blocks = blocks
        self._lanes = Lanes(llama)
        self._layout = Layout(apart=mode == "blocks" and llama.can_shift)
        self._making: set[BlockKey] = set()

    @contextmanager
    def lane(self) -> Iterator[list[Lane]]:
        """Give a list for lanes that are taken in the block; they are given back when it is left."""
        taken: list[Lane] = []
        try:
            yield taken
        finally:
            for lane in taken:
                self._lanes.leave(lane)
                if self._mode == "off":
                    self._lanes.clear()

    def read(
        self,
        prompt: PromptTokens,
        adapters: AdapterSet,
        taken: list[Lane],
        said: Sequence[int] = (),
        *,
        whole: bool = True,
    ) -> Work[Reading]:
        """Read a prompt, and what was `said` after it already, into a lane, which is added to `taken`.

        Unless `whole`, the beginning of a short segment too is shared with whatever begins alike.
        """
        segments = self._layout.segments(prompt, adapters)
        entries = self._layout.entries(segments)
        entries += self._layout.entries_of(segments[-1], said)
        if said:
            segments.append(Segment(segments[-1].end, tuple(said), segments[-1].adapters))
        lane, head = self._begin(segments, entries, taken, whole=whole), _head(segments, prompt)
        at_hand = lane.end
        for segment in segments:
            if segment.end <= lane.end:
                continue
            if segment.block:
                at_hand += yield from self._attach(lane, segment, head)
            else:
                rows = yield from self._extend(lane, segment, 1 if segment is segments[-1] else 0)
                self._checkpoint(lane, segments)
        return Reading(lane, segments[-1], rows, at_hand)

    def extend(self, reading: Reading, tokens: Sequence[int], *, hidden: bool = False) -> Work[Rows]:
        """Read tokens that follow, and return the row of the logits after each; of their `hidden` states too."""
        lane = reading.lane
        rows = yield Piece(lane.sequence, lane.end, tokens, reading.last.adapters, len(tokens), hidden)
        lane.entries.extend(self._layout.entries_of(reading.last, tokens))
        return rows

    def cut(self, reading: Reading, n: int) -> None:
        """Take back the last `n` tokens."""
        if n:
            self._lanes.cut(reading.lane, reading.lane.end - n)

    def whole(self, prompt: PromptTokens, adapters: AdapterSet, taken: list[Lane]) -> list[Segment]:
        """Take an empty lane, the last in `taken`, and return the prompt in segments that `follow` reads one by one."""
        taken.append(self._lanes.take())
        flat = Layout(apart=False).segments(prompt, adapters)
        return [
            Segment(one.start + i, one.tokens[i : i + _SCORED], one.adapters, soft=one.soft)
            for one in flat
            for i in range(0, len(one.tokens), _SCORED)
        ]

    def follow(self, lane: Lane, segment: Segment) -> Work[Rows]:
        """Read a segment at the lane's end and return the row of the logits after each token; none of a soft prompt."""
        return (yield from self._extend(lane, segment, 0 if segment.soft else len(segment.tokens)))

    def warm(self, prompt: PromptTokens, adapters: AdapterSet, taken: list[Lane]) -> Work[int]:
        """Read the passages that are not kept yet, each after the head; return how many tokens that took."""
        segments = self._layout.segments(prompt, adapters)
        head = _head(segments, prompt)
        missing = [one for one in segments if one.block and not self._is_kept(head, one)]
        if not missing:
            return 0
        lane = self._begin(head, self._layout.entries(head), taken)
        for segment in head:
            if lane.end < segment.end:
                yield from self._extend(lane, segment, 0)
        read = 0
        for segment in missing:
            if self._is_kept(head, segment):  # by now
                continue
            with self._scratch() as scratch:
                yield from self._make(lane, scratch, segment, head)
                read += len(segment.tokens)
        return read

    def forget(self, passages: Sequence[bytes]) -> int:
        """Drop what is kept of passages (see `passage_digest`), in the context too; return how many blocks."""
        self._lanes.clear()
        return self._blocks.drop(passages)

    def evict(self) -> bool:
        """Make room by emptying an idle lane; False where there is none."""
        return self._lanes.evict()

    # -- lanes

    def _begin(
        self, segments: Sequence[Segment], entries: Sequence[int], taken: list[Lane], *, whole: bool = True
    ) -> Lane:
        lane = self._lanes.begin(entries, len(entries) - 1) if self._mode != "off" else self._lanes.take()
        taken.append(lane)
        if self._llama.can_shift:
            self._cut_to_boundary(lane, segments, _WHOLE if whole else 0)
        elif self._mode != "off":
            self._resume(lane, segments, entries)
        return lane

    def _cut_to_boundary(self, lane: Lane, segments: Sequence[Segment], short: int) -> None:
        """Have a block or a `short` segment read as a whole: in parts its sums are rounded in another way."""
        inside = next((one for one in segments if one.start < lane.end < one.end), None)
        if inside and (inside.block or len(inside.tokens) <= short):
            self._lanes.cut(lane, inside.start)

    def _extend(self, lane: Lane, segment: Segment, logits: int) -> Work[Rows]:
        tokens = segment.tokens[lane.end - segment.start :]
        rows = yield Piece(lane.sequence, lane.end, tokens, segment.adapters, logits)
        lane.entries.extend(self._layout.entries_of(segment, tokens))
        return rows

    @contextmanager
    def _scratch(self) -> Iterator[Lane]:
        """Give an empty lane for the block."""
        lane = self._lanes.take()
        try:
            yield lane
        finally:
            self._lanes.drop(lane)

    # -- blocks

    def _key(self, head: Sequence[Segment], passage: Segment) -> BlockKey:
        """Return the key of a passage's KV right after the head: each with its adapters, and where those begin."""
        parts = [(one.start, one.adapters) for one in head] + [(head[-1].end, passage.adapters)]
        adapters = tuple((f"{one.version}:{start}", one.scale) for start, these in parts for one in these)
        return block_key(adapters, [token for one in head for token in one.tokens], passage.tokens, passage.text)

    def _is_kept(self, head: Sequence[Segment], passage: Segment) -> bool:
        """Return whether a passage's KV is kept, or will soon be."""
        key = self._key(head, passage)
        return key in self._making or self._blocks.has(key)

    def _attach(self, lane: Lane, segment: Segment, head: Sequence[Segment]) -> Work[int]:
        """Put a passage's block at the lane's end; return how many of its tokens were at hand."""
        key = self._key(head, segment)
        while key in self._making:
            yield Wait.block
        with self._scratch() as scratch:
            at_hand = self._restored(scratch, key, len(segment.tokens))
            if not at_hand:
                yield from self._make(lane, scratch, segment, head)
            if lane.end > head[-1].end:
                self._llama.shift(scratch.sequence, lane.end - head[-1].end)
            self._llama.copy(scratch.sequence, lane.sequence)
        lane.entries.extend(self._layout.entries_of(segment, segment.tokens))
        return len(segment.tokens) if at_hand else 0

    def _make(self, lane: Lane, scratch: Lane, segment: Segment, head: Sequence[Segment]) -> Work[None]:
        """Read a passage right after the head of `lane`, keep its KV, and leave it in the scratch lane."""
        key, end = self._key(head, segment), head[-1].end
        self._making.add(key)
        try:
            self._llama.copy(lane.sequence, scratch.sequence, end)
            yield Piece(scratch.sequence, end, segment.tokens, segment.adapters)
            self._llama.remove(scratch.sequence, 0, end)
            self._blocks.put(key, self._llama.save(scratch.sequence))
        finally:
            self._making.discard(key)

    def _restored(self, lane: Lane, key: BlockKey, size: int) -> bool:
        """Put what is kept of `size` tokens into an empty lane; False where nothing is, or nothing that is accepted.

        llama.cpp says no both where there is no room and to a state that it cannot use. Such a one is not kept: it
        would be refused each time. Raises NoSlot where room is made only by others' end.
        """
        state = self._blocks.get(key)
        while state is not None:
            try:
                self._llama.restore(lane.sequence, state)
                return True
            except NoSlot:
                if self._lanes.evict():
                    continue
                if not self._lanes.has_room(size):
                    raise
                self._blocks.discard(key)
                self._llama.remove(lane.sequence)
                return False
        return False

    # -- recurrent states

    def _state_key(self, segments: Sequence[Segment], n: int) -> BlockKey:
        """Return the key of the state after the first `n` segments: their tokens, each under its adapters."""
        adapters = tuple((f"{one.key}", segment.start) for segment in segments[:n] for one in segment.adapters)
        tokens = [token for segment in segments[:n] for token in segment.tokens]
        return block_key(adapters, tokens, (), segments[n - 1].text, layout="state")

    def _checkpoint(self, lane: Lane, segments: Sequence[Segment]) -> None:
        """Keep the state after the head, or after the first passage: another question may follow next time."""
        n = next((n for n in (1, 2) if n < len(segments) and segments[n - 1].end == lane.end), 0)
        if not self._llama.recurrent or self._mode == "off" or not n or lane.end < _FEWEST:
            return
        key = self._state_key(segments, n)
        if not self._blocks.has(key):
            self._blocks.put(key, self._llama.save(lane.sequence))

    def _resume(self, lane: Lane, segments: Sequence[Segment], entries: Sequence[int]) -> None:
        """Go on from a state that was kept, where it is further than what the lane holds."""
        for n in (2, 1):
            if n >= len(segments) or segments[n - 1].end <= lane.end:
                continue
            key, end = self._state_key(segments, n), segments[n - 1].end
            if self._blocks.has(key):
                self._lanes.cut(lane, 0)
                if self._restored(lane, key, end):
                    lane.entries.extend(entries[:end])
                    return


def _head(segments: Sequence[Segment], prompt: PromptTokens) -> list[Segment]:
    """Return what stands before the passages."""
    return [one for one in segments if one.end <= len(prompt.soft) + len(prompt.head)]
