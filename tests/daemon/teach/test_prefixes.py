# ruff: noqa: E402 - what needs torch is imported where there is one
"""Prompts that the base reads several in a row, and rows that are filled with samples."""

from __future__ import annotations

import pytest

for wanted in ("torch", "peft"):
    pytest.importorskip(wanted, reason="training is tested where pip install 'lorebook[train]' was typed")

import torch

from lorebook_daemon.teach import batches
from lorebook_daemon.teach.batches import Prefixes, filled
from lorebook_daemon.teach.examples import read_examples
from lorebook_daemon.teach.job import read_job
from lorebook_daemon.teach.model import CausalLM
from lorebook_daemon.teach.plan import lay_out
from lorebook_daemon.teach.samples import Sample
from lorebook_daemon.teach.teacher import _known, load
from lorebook_daemon.teach.weights import read_shape

pytestmark = [pytest.mark.train, pytest.mark.usefixtures("one_thread")]

ROOM = 2**26
ONE, OTHER = tuple(range(30, 40)), tuple(range(60, 69))
"""What two system prompts begin with."""
SAMPLES = [
    Sample((*start, 5 + n, *range(80, 84 + n), 7, 8), 12, len(start) + 5 + n)
    for start in (ONE, OTHER)
    for n in range(4)
]
PROMPTS = [sample.tokens[: sample.acts] for sample in SAMPLES]


class Counted(CausalLM):
    """A model that counts what it reads."""

    rows = tokens = 0

    def forward(self, tokens, *more, **others):
        self.rows += 1
        self.tokens += tokens.numel()
        return super().forward(tokens, *more, **others)


def counted(base):
    model = load(base, read_shape(base))
    model.__class__ = Counted
    return model


def same(one, other):
    return all(
        torch.equal(a, b) for pair, others in zip(one, other, strict=True) for a, b in zip(pair, others, strict=True)
    )


def test_prompts_that_begin_alike_are_read_in_one_row_and_their_beginning_once(base):
    model, alone = counted(base), Prefixes(load(base, read_shape(base)), ROOM)
    together = Prefixes(model, ROOM)
    together.foresee([*SAMPLES, *SAMPLES, Sample(ONE, 2)])
    assert model.rows == 0, "nothing is read before it is wanted"
    for prompt in PROMPTS:
        for one, other in zip(together.of(prompt), alone.of(prompt), strict=True):
            assert all(torch.allclose(a, b, atol=2e-3) and a.shape == b.shape for a, b in zip(one, other, strict=True))
    assert model.rows == 2
    assert model.tokens == sum(map(len, PROMPTS)) - 3 * len(ONE) - 3 * len(OTHER)


def test_what_is_wanted_first_changes_no_bit(base):
    model = load(base, read_shape(base))
    forwards, backwards = Prefixes(model, ROOM), Prefixes(model, ROOM)
    for prefixes, prompts in ((forwards, PROMPTS), (backwards, PROMPTS[::-1])):
        prefixes.foresee(SAMPLES)
        for prompt in prompts:
            prefixes.of(prompt)
    assert all(same(forwards.of(prompt), backwards.of(prompt)) for prompt in PROMPTS)


def test_a_row_is_no_longer_than_it_may_be_and_what_has_no_room_is_read_alone(base, monkeypatch):
    monkeypatch.setattr(batches, "_ROW", len(PROMPTS[0]) + len(PROMPTS[1]))
    model = counted(base)
    shape, prefixes = model.shape, Prefixes(model, ROOM)
    prefixes.foresee(SAMPLES[:3])
    prefixes.of(PROMPTS[0]), prefixes.of(PROMPTS[1])
    assert model.rows == 1
    prefixes.of(PROMPTS[2])
    assert model.rows == 2
    two = 4 * (len(PROMPTS[0]) + len(PROMPTS[1])) * shape.layers * shape.kv_heads * shape.head
    narrow = Prefixes(model, two)
    narrow.foresee(SAMPLES[:3])
    for _ in range(2):
        narrow.of(PROMPTS[2]), narrow.of(PROMPTS[1])
    assert model.rows == 2 + 2 + 1, "the third one is read each time"


def test_the_general_check_says_the_same_of_rows_as_of_questions_alone(base, tmp_path, make_job, monkeypatch):
    make_job(tmp_path, base)
    plan = lay_out(read_job(tmp_path), read_examples(tmp_path / "examples.jsonl"))
    model = counted(base)
    together = _known(model, plan, Prefixes(model, ROOM))
    rows, model.rows = model.rows, 0
    monkeypatch.setattr(batches, "_ROW", 1)
    assert _known(model, plan, Prefixes(model, ROOM)) == together
    assert len(together) == 24 and model.rows == 48 and rows < 24


@pytest.mark.parametrize(("least", "lengths"), [(1, [3, 3, 1]), (4, [4, 3]), (9, [7])])
def test_rows_are_filled_in_order(monkeypatch, least, lengths):
    monkeypatch.setattr(batches, "_ROW", 30)
    samples = [Sample(tuple(range(10)), 2)] * 3 + [Sample(tuple(range(12)), 2, 2)] * 3 + [Sample(tuple(range(99)), 2)]
    rows = list(filled(samples, least))
    assert [one for row in rows for one in row] == samples
    assert [len(row) for row in rows] == lengths
    assert not list(filled([]))
