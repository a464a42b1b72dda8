"""Blocks that are repaired: what is picked, and what all of it comes to."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import repair
from benchmarks.kvstate import read_state
from benchmarks.repair import Bench, Row, compare, deviation, furthest
from lorebook_daemon.engine.child.chat import PromptTokens
from lorebook_daemon.engine.child.llama import Llama
from lorebook_daemon.engine.child.work import Piece
from tiny_engine import PASSAGES
from tiny_models import tiny_llama

TOKENS = PromptTokens(
    tuple(range(40, 60)), tuple(tuple(range(60 + n, 100, 1 + n)) for n in range(3)), tuple(range(40, 52))
)


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Llama:
    return Llama(tiny_llama(tmp_path_factory.mktemp("tiny") / "tiny.gguf"), 1024, 1)


def test_a_state_is_taken_apart_as_it_was_saved(llama: Llama) -> None:
    llama.clear()
    llama.decode([Piece(0, 0, [40, 41, 42, 43])])
    llama.decode([Piece(1, 0, [40, 41])])
    four, two = read_state(llama.save(0)), read_state(llama.save(1))
    assert len(four.keys) == len(four.values) > 0
    for long, short in [*zip(four.keys, two.keys, strict=True), *zip(four.values, two.values, strict=True)]:
        assert long.shape == (4, short.shape[1])
        np.testing.assert_allclose(long[:2], short, atol=2e-3)
        assert np.abs(long[2:] - long[:2]).max() > 0.01
    with pytest.raises(ValueError):
        read_state(llama.save(0) + b"more")


def test_the_places_that_are_furthest_are_read_anew(llama: Llama) -> None:
    bench = Bench(llama)
    full, _ = bench.full(TOKENS)
    right = bench.state()
    states = bench.blocks(TOKENS)
    plain, _ = bench.assembled(TOKENS, states, 0, 0)
    far = deviation(right, bench.state())
    head, first = len(TOKENS.head), len(TOKENS.passages[0])
    assert far[: head + first].max() < 1e-3 < far[head + first : -len(TOKENS.tail)].min()
    some, every = furthest(TOKENS, far, 0.05), furthest(TOKENS, far, 1.0)
    assert len(some) == 2 and len(every) == sum(map(len, TOKENS.passages[1:]))
    assert min(some) >= head + first and max(far) in far[list(every)]
    kl = Row()
    for places in (set[int](), some, every):
        kl.add(full, *bench.repaired(TOKENS, places))
    unrepaired = Row()
    unrepaired.add(full, plain, 0)
    assert kl.kl[0] == pytest.approx(unrepaired.kl[0], abs=1e-4)
    assert kl.kl[2] < 1e-4 < kl.kl[0], "all read anew is a full prefill"
    assert kl.kl[1] != kl.kl[0]


def test_the_figures_of_each_variant_are_told(
    llama: Llama, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repair, "VARIANTS", ((0, 0), (8, 0)))
    compare([SimpleNamespace(text="When does the valve open?", passages=PASSAGES)], llama)  # type: ignore[list-item]
    printed = capsys.readouterr().out
    assert printed.count("KL mean") == 2 + len(repair.SHARES) + 1
    assert "5%   KL mean" in printed
