"""llama.cpp's own calls: what is moved, given up and read again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lorebook_daemon.engine.child.llama import Llama, Stopped
from lorebook_daemon.engine.child.work import Piece

HEAD, BLOCK, TAIL = (list(range(first, first + 40)) for first in (40, 60, 80))
GAP = TAIL[:7]


@pytest.fixture(scope="module")
def llama(tiny_gguf: Path) -> Llama:
    return Llama(tiny_gguf, 1024, 1)


def read_with_moved_block(llama: Llama) -> int:
    """Read a head, a gap, and a block that was read after the head and is moved by the gap; return where it ends."""
    llama.clear()
    llama.decode([Piece(0, 0, HEAD)])
    llama.copy(0, 1)
    llama.decode([Piece(1, len(HEAD), BLOCK)])
    llama.remove(1, 0, len(HEAD))
    llama.decode([Piece(0, len(HEAD), GAP)])
    llama.shift(1, len(GAP))
    llama.copy(1, 0)
    return len(HEAD) + len(GAP) + len(BLOCK)


def after_tail(llama: Llama, end: int) -> np.ndarray:
    ((row,),) = llama.decode([Piece(0, end, TAIL, logits=1)])
    return llama.logits(row).copy()


def test_a_batch_that_is_given_up_is_read_again_to_the_bit(llama: Llama) -> None:
    expected = after_tail(llama, read_with_moved_block(llama))
    end = read_with_moved_block(llama)
    for _ in range(3):  # the first of them begins with turning the keys of what was moved
        llama.stop()
        with pytest.raises(Stopped):
            llama.decode([Piece(0, end, TAIL, logits=1)])
        llama.resume()
        llama.remove(0, end)
    np.testing.assert_array_equal(after_tail(llama, end), expected)


def test_a_block_that_is_moved_is_not_one_that_stays(llama: Llama) -> None:
    end = read_with_moved_block(llama)
    moved = after_tail(llama, end)
    llama.clear()
    llama.decode([Piece(0, 0, [*HEAD, *GAP, *BLOCK])])
    assert np.abs(after_tail(llama, end) - moved).max() > 0.1, "the tests above would not see a wrong position"
