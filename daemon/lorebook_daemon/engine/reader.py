"""Reads prompts into sequences of KV, computing only what was not read before.

A prompt is a head, passages, and a tail. In `blocks` mode each passage is read by itself right after the head, and its
KV is kept and moved to wherever the passage stands next time: passages cost nothing again in any order. In `prefix`
mode the prompt is one run of tokens, of which the longest equal beginning is kept. Models with recurrent state, which
cannot be moved, are read in `prefix` mode. Cf. Prompt Cache, arXiv:2311.04934.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from lorebook_api.errors import TooLong
from lorebook_daemon.engine.blocks import AdapterKey, Blocks, block_key
from lorebook_daemon.engine.chat import PromptTokens
from lorebook_daemon.engine.llama import BATCH, SEQUENCES, Llama, NoSlot, Piece

_HEAD, _SCRATCH, _ANSWER = 0, 1, 2
_JUDGES = range(3, SEQUENCES)
"""Sequences for prompts that are read side by side."""


@dataclass
class _Lane:
    """What one sequence holds: a layout (adapters, head, passages), and after it plain tokens."""

    sequence: int
    layout: tuple[object, ...] = ()
    base: int = 0
    """Positions that the layout takes."""
    tokens: list[int] = field(default_factory=list)

    @property
    def end(self) -> int:
        return self.base + len(self.tokens)


@dataclass(frozen=True)
class Reading:
    """A prompt that was read: where its next token goes, the row of its last logits, the tokens at hand."""

    sequence: int
    position: int
    row: int
    cached: int


class Reader:
    """Owns the context's sequences. A failure or a cancel empties them, so that none is ever half right."""

    def __init__(self, llama: Llama, mode: Literal["blocks", "prefix", "off"], memory: int) -> None:
        """Keep at most `memory` bytes of passages' KV."""
        self._llama = llama
        self._mode = mode if llama.can_shift else ("off" if mode == "off" else "prefix")
        self._blocks = Blocks(memory)
        self._lanes = {sequence: _Lane(sequence) for sequence in range(SEQUENCES)}

    def read(self, prompt: PromptTokens, adapters: AdapterKey) -> Reading:
        """Read one prompt for generation. Raises TooLong, Cancelled."""
        return self._with_room([prompt], adapters, (_ANSWER,))[0]

    def read_many(self, prompts: Sequence[PromptTokens], adapters: AdapterKey) -> list[Reading]:
        """Read up to `side_by_side` prompts and decode their ends in one batch. Raises TooLong, Cancelled."""
        return self._with_room(prompts, adapters, tuple(_JUDGES[: len(prompts)]))

    side_by_side = len(_JUDGES)
    """The most prompts that `read_many` takes."""

    def extend(self, reading: Reading, token: int, n: int) -> int:
        """Read the `n`-th generated token (from 0) and return the row of its logits."""
        lane = self._lanes[reading.sequence]
        try:
            row = self._llama.decode([Piece(lane.sequence, reading.position + n, [token], logits=True)])[0]
        except BaseException:
            self._drop(lane)
            raise
        lane.tokens.append(token)
        return row

    def forget(self) -> None:
        """Empty every lane; kept blocks stay."""
        self._llama.clear()
        self._lanes = {sequence: _Lane(sequence) for sequence in range(SEQUENCES)}

    # -- one attempt, and a second with an empty context

    def _with_room(
        self, prompts: Sequence[PromptTokens], adapters: AdapterKey, lanes: tuple[int, ...]
    ) -> list[Reading]:
        longest = max(len(prompt.flat) for prompt in prompts)
        if longest >= self._llama.n_ctx:
            raise TooLong(
                f"the prompt takes {longest} tokens, and the context holds {self._llama.n_ctx}.",
                "Ask a shorter question, or set a larger context: LOREBOOK_N_CTX.",
            )
        if self._mode == "off":
            self.forget()
        try:
            try:
                return self._read_into(prompts, adapters, lanes)
            except NoSlot:
                # What other lanes hold can be read again; this prompt comes first.
                self.forget()
                return self._read_into(prompts, adapters, lanes)
        except NoSlot as error:
            self.forget()
            raise TooLong(
                "these prompts do not fit the context together.", "Set a larger one: LOREBOOK_N_CTX."
            ) from error
        except BaseException:
            self.forget()
            raise

    def _read_into(
        self, prompts: Sequence[PromptTokens], adapters: AdapterKey, lanes: tuple[int, ...]
    ) -> list[Reading]:
        cached = [self._lay(self._lanes[s], p, adapters) for s, p in zip(lanes, prompts, strict=True)]
        pieces, ends = [], []
        for sequence, prompt in zip(lanes, prompts, strict=True):
            lane, tokens = self._lanes[sequence], self._tail(prompt)
            start = self._cut(lane, tokens)
            pieces.append(Piece(sequence, lane.base + start, tokens[start:], logits=True))
            ends.append((lane, tokens, start))
        rows = self._rows(pieces)
        readings = []
        for (lane, tokens, start), row, known in zip(ends, rows, cached, strict=True):
            lane.tokens = list(tokens)
            readings.append(Reading(lane.sequence, lane.end, row, known + start))
        return readings

    def _rows(self, pieces: list[Piece]) -> list[int]:
        """Decode the ends so that all last tokens fall into the last batch, where their logits stay readable."""
        early = [Piece(p.sequence, p.position, p.tokens[:-1]) for p in pieces if len(p.tokens) > 1]
        last = [Piece(p.sequence, p.position + len(p.tokens) - 1, p.tokens[-1:], logits=True) for p in pieces]
        if sum(len(p.tokens) for p in pieces) <= BATCH:
            return self._llama.decode(pieces)
        self._llama.decode(early)
        return self._llama.decode(last)

    # -- layouts

    def _blocked(self, prompt: PromptTokens) -> bool:
        return self._mode == "blocks" and bool(prompt.passages)

    def _tail(self, prompt: PromptTokens) -> tuple[int, ...]:
        return prompt.tail if self._blocked(prompt) else prompt.flat

    def _lay(self, lane: _Lane, prompt: PromptTokens, adapters: AdapterKey) -> int:
        """Bring head and passages into the lane; return how many of their tokens were at hand."""
        if not self._blocked(prompt):
            if lane.layout != (adapters,):
                self._drop(lane)
                lane.layout = (adapters,)
            return 0
        layout = (adapters, prompt.head, prompt.passages)
        size = len(prompt.head) + sum(map(len, prompt.passages))
        if lane.layout == layout:
            return size
        self._drop(lane)
        twin = next((other for other in self._lanes.values() if other.layout == layout), None)
        if twin:
            self._llama.copy(twin.sequence, lane.sequence, twin.base)
            fresh = 0
        else:
            fresh = self._assemble(lane, prompt, adapters)
        lane.layout, lane.base = layout, size
        return size - fresh

    def _assemble(self, lane: _Lane, prompt: PromptTokens, adapters: AdapterKey) -> int:
        """Put the head and each passage's block into an empty lane; return how many tokens had to be computed."""
        fresh = self._read_head(prompt.head, adapters)
        blocks = []
        for passage in prompt.passages:
            state, computed = self._block(prompt.head, passage, adapters)
            blocks.append(state)
            fresh += computed
        self._llama.copy(_HEAD, lane.sequence, len(prompt.head))
        position = len(prompt.head)
        for state, passage in zip(blocks, prompt.passages, strict=True):
            self._llama.remove(_SCRATCH)
            self._llama.restore(_SCRATCH, state)
            if position > len(prompt.head):
                self._llama.shift(_SCRATCH, position - len(prompt.head))
            self._llama.copy(_SCRATCH, lane.sequence)
            position += len(passage)
        self._llama.remove(_SCRATCH)
        return fresh

    def _read_head(self, head: tuple[int, ...], adapters: AdapterKey) -> int:
        lane = self._lanes[_HEAD]
        if lane.layout != (adapters,):
            self._drop(lane)
            lane.layout = (adapters,)
        start = self._equal(lane.tokens, head)
        if start == len(head):
            return 0
        self._llama.remove(_HEAD, start)
        del lane.tokens[start:]
        self._llama.decode([Piece(_HEAD, start, head[start:])])
        lane.tokens = list(head)
        return len(head) - start

    def _block(self, head: tuple[int, ...], passage: tuple[int, ...], adapters: AdapterKey) -> tuple[bytes, int]:
        """Return a passage's KV at the positions right after the head, and how many tokens were computed for it."""
        key = block_key(adapters, head, passage)
        state = self._blocks.get(key)
        if state is not None:
            return state, 0
        self._llama.remove(_SCRATCH)
        self._llama.copy(_HEAD, _SCRATCH, len(head))
        self._llama.decode([Piece(_SCRATCH, len(head), passage)])
        self._llama.remove(_SCRATCH, 0, len(head))
        state = self._llama.save(_SCRATCH)
        self._llama.remove(_SCRATCH)
        self._blocks.put(key, state)
        return state, len(passage)

    # -- lanes

    def _cut(self, lane: _Lane, tokens: Sequence[int]) -> int:
        """Keep of the lane's own tokens what `tokens` begins with, but not the last, whose logits are wanted."""
        start = min(self._equal(lane.tokens, tokens), len(tokens) - 1)
        if start < len(lane.tokens):
            if not self._llama.remove(lane.sequence, lane.base + start):
                layout = lane.layout
                self._drop(lane)  # a recurrent state cannot be cut: begin anew
                lane.layout, start = layout, 0
            del lane.tokens[start:]
        return start

    def _drop(self, lane: _Lane) -> None:
        self._llama.remove(lane.sequence)
        lane.layout, lane.base, lane.tokens = (), 0, []

    @staticmethod
    def _equal(left: Sequence[int], right: Sequence[int]) -> int:
        """Return how many tokens are equal from the start."""
        for i, (a, b) in enumerate(zip(left, right, strict=False)):
            if a != b:
                return i
        return min(len(left), len(right))
