# ruff: noqa: E402 - what needs torch is imported where there is one
"""What the frozen layers make of a sample is computed once, and changes nothing of what is learnt."""

from __future__ import annotations

import json

import pytest

for wanted in ("torch", "peft"):
    pytest.importorskip(wanted, reason="training is tested where pip install 'lorebook[train]' was typed")

import numpy as np
import torch

from benchmarks.random_models.blueprint import ATTENTION, Size
from benchmarks.random_models.write import write_model
from lorebook_api.teaching import Pair, TeachRequest, TrainSettings
from lorebook_daemon.teach import teacher
from lorebook_daemon.teach.batches import Prefixes
from lorebook_daemon.teach.below import Below
from lorebook_daemon.teach.compose import compose
from lorebook_daemon.teach.estimate import lowest_trained
from lorebook_daemon.teach.examples import write_examples
from lorebook_daemon.teach.job import METHODS, TrainJob, write_job
from lorebook_daemon.teach.loop import Schedule, Training
from lorebook_daemon.teach.methods import TRAINERS
from lorebook_daemon.teach.model import CausalLM, Packed, trained
from lorebook_daemon.teach.plan import lay_out
from lorebook_daemon.teach.samples import Sample
from lorebook_daemon.teach.teacher import Tell

pytestmark = [pytest.mark.train, pytest.mark.usefixtures("one_thread")]

RATES = {"alora": 0.02, "lora": 0.02, "dpo": 0.02, "classifier": 0.01, "last-layers": 0.01}
PARTIAL = sorted(RATES)
ROOM, LITTLE = 2**26, 20_000
"""Bytes: enough for all, and for some samples only."""
ANSWERS = tuple(Pair(f"What is the name of file {n}?", f"return {n} is the answer") for n in range(6))
ROWS = {
    "pairs": [
        {"prompt": f"Say file {n}.", "chosen": f"the file {n}", "rejected": f"what a silly file {n} this is"}
        for n in range(12)
    ],
    "labels": [{"text": f"the file {n} is {word}", "label": word} for n in range(6) for word in ("good", "bad")],
}


class Counted(CausalLM):
    """A model that counts how many tokens of batches its lowest layer reads."""

    read = 0

    def _through(self, numbers, x, positions, look, past):
        if numbers[0] == 0 and isinstance(look, Packed):
            self.read += x.shape[1]
        return super()._through(numbers, x, positions, look, past)


@pytest.fixture(scope="session")
def base(tmp_path_factory):
    path = tmp_path_factory.mktemp("below") / "three.gguf"
    return write_model(path, ATTENTION["qwen2"](Size(layers=3)), 0)


def a_job(base, folder, method, layers=1):
    settings = TrainSettings(epochs=3, batch=4, rank=2, layers=layers)
    rows = ROWS.get(METHODS[method].learns)
    folder.mkdir(parents=True, exist_ok=True)
    if rows is None:
        request = TeachRequest(pairs=ANSWERS, method=method, settings=settings)
    else:
        (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
        data = (str(folder / "rows.jsonl"),)
        request = TeachRequest(data=data, method=method, settings=settings, keep=("near-duplicate",))
    job = TrainJob("j1", "facts", base.stem, str(base), "", method, "chat", "auto", ("",), 1, settings)
    examples = compose(request)
    write_job(folder, job)
    write_examples(folder / "examples.jsonl", examples)
    return job, examples


def set_up(base, folder, method, room, layers=1, epochs=10, **more):
    """Return a training of few wordings and many passes, which keeps up to `room` bytes, and its model."""
    job, examples = a_job(base, folder, method, layers)
    plan = lay_out(job, examples)
    model = teacher.load(base, plan.shape)
    model.__class__ = Counted
    prefixes = Prefixes(model, ROOM)
    objective = TRAINERS[method].prepare(model, job, plan, prefixes)
    schedule = Schedule(epochs, 4, RATES.get(method, 0.01), 0, checkpoint_steps=2)
    few = [variants[:2] for variants in plan.variants]
    checkpoint = folder / "checkpoint.pt"
    run = Training(model, objective, few, plan.held_out, schedule, checkpoint, rehearsal=plan.rehearsal, **more)
    prefixes.keep_below(run.batches(), room)
    return run, model, prefixes


def learnt(model):
    return {name: parameter.detach().clone() for name, parameter in trained(model).items()}


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("method", PARTIAL)
def test_the_lower_layers_read_less_and_the_losses_stay(base, tmp_path, method):
    runs = {}
    for room in (0, LITTLE, ROOM):
        run, model, prefixes = set_up(base, tmp_path / str(room), method, room)
        at = run.run()
        runs[room] = at, model.read - sum(map(len, prefixes._kept))  # what is before the adapter acts is read anyway
    plain, read_again = runs[0]
    assert runs[ROOM][1] < runs[LITTLE][1] < read_again
    assert runs[ROOM][1] < read_again / 2
    for kept, _ in (runs[LITTLE], runs[ROOM]):
        assert len(plain.loss) == len(kept.loss)
        assert np.allclose([loss for _, loss in plain.loss], [loss for _, loss in kept.loss], rtol=2e-3)
        assert np.allclose([loss for _, loss in plain.held_out], [loss for _, loss in kept.held_out], rtol=2e-3)


@pytest.mark.parametrize("room", [ROOM, LITTLE])
@pytest.mark.parametrize("method", PARTIAL)
def test_a_killed_training_goes_on_bit_by_bit(base, tmp_path, method, room):
    class Killed(Exception):
        pass

    def kill(metrics):
        if metrics.step == 7:
            raise Killed

    whole, model, _ = set_up(base, tmp_path / "whole", method, room, epochs=4)
    whole.run()
    with pytest.raises(Killed):
        set_up(base, tmp_path / "broken", method, room, epochs=4, report=kill)[0].run()
    again, resumed, prefixes = set_up(base, tmp_path / "broken", method, room, epochs=4)
    at = again.run()
    assert prefixes._below._kept, "the bound leaves room for some"
    assert same(learnt(model), learnt(resumed)) and at.loss == whole.at.loss


@pytest.mark.parametrize("thrifty", [False, True])
def test_no_bit_changes_where_a_batch_is_kept_as_it_is_seen(base, tmp_path, thrifty):
    """What is kept of a row is what the row would compute: the gradients are the same bit by bit."""
    runs = []
    for room in (0, ROOM):
        run, model, _ = set_up(base, tmp_path / str(room), "last-layers", room)
        model.thrifty = thrifty
        batch = run._batch(0)[0]
        losses = run._objective.losses(batch)
        losses.sum().backward()
        runs.append((losses.detach(), {name: one.grad.clone() for name, one in trained(model).items()}))
    assert torch.equal(runs[0][0], runs[1][0]) and same(runs[0][1], runs[1][1])


@pytest.mark.parametrize("method", sorted(METHODS))
def test_nothing_is_kept_where_the_lowest_layer_is_trained(base, tmp_path, method):
    layers = 3 if method in PARTIAL else 0
    run, _, prefixes = set_up(base, tmp_path, method, ROOM, layers)
    assert prefixes._below is None
    assert prefixes.entering(run._batch(0)[0], 0) is None


@pytest.mark.parametrize("layers", [1, 2, 3, 9])
@pytest.mark.parametrize("method", sorted(METHODS))
def test_the_estimate_knows_the_lowest_layer(base, tmp_path, method, layers):
    _, model, prefixes = set_up(base, tmp_path, method, ROOM, layers)
    settings = TrainSettings(layers=layers)
    assert prefixes._lowest == lowest_trained(model.shape, settings, METHODS[method])


def test_the_batches_told_before_are_those_that_come(base, tmp_path):
    class Heard:
        def __init__(self, objective):
            self.objective, self.heard = objective, []

        def losses(self, samples):
            self.heard.append(list(samples))
            return self.objective.losses(samples)

        def right(self, samples):
            return self.objective.right(samples)

    run, _, _ = set_up(base, tmp_path, "last-layers", ROOM)
    run._held_out = [variants[0] for variants in run._examples]
    told = list(map(list, run.batches()))
    run._objective = heard = Heard(run._objective)
    run.run()
    assert heard.heard[0] == told[0] and len(heard.heard) <= len(told)
    assert all(batch in told for batch in heard.heard)


def test_the_teacher_keeps_it_and_writes_the_same_bytes_after_a_kill(base, tmp_path, monkeypatch):
    read = []
    entering = Prefixes.entering

    def counted(self, samples, shared):
        told = entering(self, samples, shared)
        read.append(told is not None)
        return told

    monkeypatch.setattr(Prefixes, "entering", counted)

    def teach(folder, metrics):
        job, examples = a_job(base, folder, "classifier")
        nothing = [lambda told: None]
        tell = Tell(progress=nothing[0], metrics=metrics, said=nothing[0])
        teacher.teach(folder, job, lay_out(job, examples), tell, lambda: None)

    def kill(metrics):
        if metrics.step == 4:
            raise KeyboardInterrupt

    teach(tmp_path / "whole", lambda metrics: None)
    assert all(read)
    with pytest.raises(KeyboardInterrupt):
        teach(tmp_path / "broken", kill)
    teach(tmp_path / "broken", lambda metrics: None)
    files = [(tmp_path / name / "adapter.gguf").read_bytes() for name in ("whole", "broken")]
    assert files[0] == files[1]


# -- which are kept


def sample(first, tokens=5):
    return Sample((first, *range(1, tokens + 1)), 2)


class Reader:
    """Reads samples as their first token, and remembers what it read together."""

    def __init__(self):
        self.rows = []

    def __call__(self, samples):
        self.rows.append([one.tokens[0] for one in samples])
        return [torch.full((1, len(one.tokens) - 1, 1), float(one.tokens[0])) for one in samples]


def values(states):
    return None if states is None else [int(one[0, 0, 0]) for one in states]


def test_what_is_seen_once_is_not_kept_and_the_rest_is_read_as_it_was_first_seen():
    read = Reader()
    a, b, c, d = map(sample, range(4))
    below = Below([[a, b], [c, d], [d, a], [b]], read, 4, 2**20)
    assert values(below.of([c])) is None and read.rows == []
    assert values(below.of([d, a])) == [3, 0] and read.rows == [[3], [0, 1]]
    assert values(below.of([b, c])) == [1, 2] and read.rows[2:] == [[2]]
    assert values(below.of([b, d, a])) == [1, 3, 0] and len(read.rows) == 3


def test_what_is_read_together_does_not_depend_on_what_came_before():
    a, b, c, d = map(sample, range(4))
    batches = [[a, b, c], [d], [c, a], [b, d]]
    rows = []
    for start in range(4):
        read = Reader()
        below = Below(batches, read, 4, 2**20)
        for batch in batches[start:]:
            below.of(batch)
        rows.append(read.rows)
    assert all(row in ([0, 1, 2], [3]) for run in rows for row in run)
    assert all(len(run) <= 2 for run in rows)


def test_the_most_frequent_are_kept_where_there_is_little_room():
    a, b, c = map(sample, range(3))
    below = Below([[a, b], [b, c], [c, b], [a]], Reader(), 4, 2 * 5 * 4)
    assert values(below.of([c])) is None and below.of([b]) and below.of([a])
    assert Below([[a], [a]], Reader(), 4, 19).of([a]) is None, "it has five tokens of four bytes"
    assert Below([[a], [a]], Reader(), 4, 20).of([a])


def test_both_answers_of_a_pair_are_kept():
    from dataclasses import replace

    pair = Sample((1, 2, 3, 4), 2, 1, (1, 2, 7, 8, 9))
    read = Reader()
    below = Below([[pair], [pair]], read, 4, 2**20)
    assert values(below.of([pair, replace(pair, tokens=pair.rejected)])) == [1, 1]
    assert len(read.rows) == 1 and len(read.rows[0]) == 2
