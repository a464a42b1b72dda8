"""A stand-in for llama.cpp whose KV is exact: every cell is a hash of all that its token saw when it was read.

With it a wrong cell, a wrong adapter or a wrong position changes what is said, and nothing is rounded: a schedule of
many requests at once must give to the bit what each gives alone. What llama.cpp answers with a crash is an assertion
here.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from lorebook_api.errors import EngineFailed
from lorebook_daemon.engine.child.adapters import AdapterSet
from lorebook_daemon.engine.child.llama import BATCH, MOST_LOGITS, Stopped
from lorebook_daemon.engine.child.patience import Patience
from lorebook_daemon.engine.child.work import NoSlot, Piece

SIZE = 26
"""Tokens of the vocabulary."""

Seen = list[tuple[int, bytes]]
"""Positions and values of cells, in order."""


def read_on(seen: Seen, tokens: Sequence[int], sets: Sequence[AdapterSet]) -> None:
    """Add a cell for each token: it depends on the token, its adapters, and all cells before it with their places."""
    before = blake2b(b"".join(at.to_bytes(4) + what for at, what in seen), digest_size=16)
    for token, adapters in zip(tokens, sets, strict=True):
        cell = before.copy()
        cell.update(repr((token, [one.key for one in adapters])).encode())
        seen.append((len(seen), cell.digest()))
        before.update(seen[-1][0].to_bytes(4) + seen[-1][1])


@lru_cache(maxsize=10_000)
def logits_after(cell: bytes) -> npt.NDArray[np.float32]:
    """Return the logits after a cell; the token that ends a turn is seldom the likeliest."""
    logits = np.random.default_rng(list(cell)).normal(0, 2, SIZE).astype(np.float32)
    logits[0] -= 2
    return logits


class FakeVocabulary:
    """A letter a token; 0 ends a turn."""

    size = SIZE

    def tokenize(self, text: str, special: bool) -> list[int]:
        """Return a token for each letter."""
        return [ord(letter) % SIZE for letter in text]

    def piece(self, token: int, *, special: bool = False) -> bytes:
        """Return the token's letter."""
        return bytes([65 + token])

    def ends(self, token: int) -> bool:
        """Whether it is the token that ends a turn."""
        return token == 0


@dataclass(eq=False)
class _Cell:
    """A place in the cache; the sequences that share it share its position."""

    position: int
    value: bytes
    sequences: set[int]


class FakeLlama:
    """What the scheduler, the reader and the works use of `Llama`."""

    def __init__(self, n_ctx: int = 256, sequences: int = 16) -> None:
        """Hold `n_ctx` cells."""
        self.n_ctx, self.sequences = n_ctx, sequences
        self.recurrent, self.can_shift = False, True
        self.vocabulary = FakeVocabulary()
        self.patience = Patience(10)
        self.batches: list[list[Piece]] = []
        """What was to be decoded, batch by batch."""
        self.during: Callable[[], None] = lambda: None
        """Called in the middle of each batch."""
        self.fails = False
        """Whether the batch under way fails."""
        self.refuses = False
        """Whether it takes no state that was saved."""
        self._stop = False
        self._rows: dict[int, bytes] = {}
        self._cells: list[_Cell] = []

    # -- decoding

    def stop(self) -> None:
        """Give up the batch under way."""
        self._stop = True

    def resume(self) -> None:
        """Take that back."""
        self._stop = False

    def decode(self, pieces: Sequence[Piece]) -> list[list[int]]:
        """Read the pieces; a batch that fails has read some of them, as with llama.cpp."""
        self._check(pieces)
        self.batches.append(list(pieces))
        self._rows = {}
        tokens = sum(len(piece.tokens) for piece in pieces)
        if not self._fits(tokens):
            raise NoSlot
        n, middle, rows = 0, tokens // 2, []
        for piece in pieces:
            before = min(max(middle - n, 0), len(piece.tokens))
            values = self._read(piece.first(before)) if before else []
            if n <= middle < n + len(piece.tokens):
                self._interrupt()
            values += self._read(piece.rest(before)) if before < len(piece.tokens) else []
            rows.append(list(range(n + len(values) - piece.logits, n + len(values))))
            self._rows.update(zip(rows[-1], values[len(values) - piece.logits :], strict=True))
            n += len(values)
        return rows

    def _interrupt(self) -> None:
        self.during()
        if self.fails:
            self.fails = False
            raise EngineFailed("the fake was told to fail.")
        if self._stop and self.can_shift:
            raise Stopped

    def _check(self, pieces: Sequence[Piece]) -> None:
        """Assert what llama.cpp takes for granted, or would end the process for."""
        assert pieces
        assert all(piece.tokens for piece in pieces)
        assert sum(len(piece.tokens) for piece in pieces) <= BATCH
        assert sum(piece.logits for piece in pieces) <= MOST_LOGITS
        assert len({piece.adapters for piece in pieces}) == 1, "a batch is read under one adapter set"
        assert len({piece.sequence for piece in pieces}) == len(pieces), "two pieces of one sequence"
        for piece in pieces:
            assert 0 <= piece.sequence < self.sequences
            assert 0 <= piece.logits <= len(piece.tokens)
            places = [at for at, _ in self._seen(piece.sequence)]
            assert places == list(range(piece.position)), "positions must follow one another"

    def logits(self, row: int) -> npt.NDArray[np.float32]:
        """Return the logits of a row of the last batch, which must have been asked for."""
        return logits_after(self._rows[row])

    def margin(self, row: int) -> float:
        """Return by how much the best token's logit is above the second one's."""
        second, best = np.sort(self.logits(row))[-2:]
        return float(best - second)

    def sample(self, chain: object, row: int) -> int:
        """Return the likeliest token."""
        return int(self.logits(row).argmax())

    # -- the memory

    def held(self) -> dict[int, list[bytes]]:
        """Return what each sequence holds, those that are empty left out."""
        used = {n for cell in self._cells for n in cell.sequences}
        return {n: [what for _, what in self._seen(n)] for n in used}

    def _fits(self, tokens: int) -> bool:
        return len(self._cells) + tokens <= self.n_ctx

    def _seen(self, sequence: int) -> Seen:
        return sorted((cell.position, cell.value) for cell in self._cells if sequence in cell.sequences)

    def _read(self, piece: Piece) -> list[bytes]:
        seen = self._seen(piece.sequence)
        read_on(seen, piece.tokens, [piece.adapters] * len(piece.tokens))
        new = seen[piece.position :]
        self._cells += [_Cell(position, what, {piece.sequence}) for position, what in new]
        return [what for _, what in new]

    def remove(self, sequence: int, start: int = 0, end: int = -1) -> bool:
        """Drop positions of a sequence."""
        for cell in self._cells:
            if cell.position >= start and (end < 0 or cell.position < end):
                cell.sequences.discard(sequence)
        self._cells = [cell for cell in self._cells if cell.sequences]
        return True

    def copy(self, source: int, target: int, end: int = -1) -> None:
        """Share cells."""
        for cell in self._cells:
            if source in cell.sequences and (end < 0 or cell.position < end):
                cell.sequences.add(target)

    def shift(self, sequence: int, delta: int) -> None:
        """Move a sequence; the others that share a cell would be moved too."""
        for cell in self._cells:
            if sequence in cell.sequences:
                assert cell.sequences == {sequence}, "a cell that others share was moved"
                cell.position += delta

    def save(self, sequence: int) -> bytes:
        """Return a sequence's cells."""
        return pickle.dumps(self._seen(sequence))

    def restore(self, sequence: int, state: bytes) -> None:
        """Put them into an empty sequence."""
        cells = pickle.loads(state)
        assert not self._seen(sequence)
        if self.refuses or not self._fits(len(cells)):
            raise NoSlot
        self._cells += [_Cell(position, what, {sequence}) for position, what in cells]


class FakeRecurrent(FakeLlama):
    """One whose memory is a state for each sequence, which can be neither cut nor moved."""

    def __init__(self, n_ctx: int = 256, sequences: int = 8) -> None:
        """Hold up to `sequences` states."""
        super().__init__(n_ctx, sequences)
        self.recurrent, self.can_shift = True, False
        self._states: dict[int, Seen] = {}

    def _fits(self, tokens: int) -> bool:
        return True

    def _seen(self, sequence: int) -> Seen:
        return self._states.get(sequence, [])

    def held(self) -> dict[int, list[bytes]]:
        """Return what was read into each sequence."""
        return {n: [what for _, what in seen] for n, seen in self._states.items() if seen}

    def _read(self, piece: Piece) -> list[bytes]:
        seen = list(self._seen(piece.sequence))
        read_on(seen, piece.tokens, [piece.adapters] * len(piece.tokens))
        self._states[piece.sequence] = seen
        return [what for _, what in seen[piece.position :]]

    def remove(self, sequence: int, start: int = 0, end: int = -1) -> bool:
        """Drop a whole state, or nothing."""
        if 0 < start < len(self._seen(sequence)):
            return False
        if start <= 0:
            self._states.pop(sequence, None)
        return True

    def copy(self, source: int, target: int, end: int = -1) -> None:
        """Copy a state as it is."""
        assert end < 0
        self._states[target] = self._seen(source)

    def shift(self, sequence: int, delta: int) -> None:
        """A state has no place."""
        raise AssertionError("a state was moved")

    def save(self, sequence: int) -> bytes:
        """Return a state."""
        return pickle.dumps(self._seen(sequence))

    def restore(self, sequence: int, state: bytes) -> None:
        """Put a state into an empty sequence."""
        assert not self._seen(sequence)
        if self.refuses:
            raise NoSlot
        self._states[sequence] = pickle.loads(state)
