"""What a training will take, where its lower layers are frozen."""

from __future__ import annotations

import pytest

from lorebook_api.teaching import TrainSettings
from lorebook_daemon.teach import estimate as estimating
from lorebook_daemon.teach.estimate import estimate, lowest_trained
from lorebook_daemon.teach.job import METHODS
from lorebook_daemon.teach.samples import Sample
from lorebook_daemon.teach.weights import Shape

SHAPE = Shape("qwen2", 24, 896, 14, 2, 64, 4864, 151_936, 32_768, 4 * 10**8, 1e6, 1e-6, tied=True)
ONE_WORDING = [(Sample((n, *range(99)), 60),) for n in range(50)]


@pytest.fixture(autouse=True)
def the_same_machine(monkeypatch):
    monkeypatch.setattr(estimating, "_speed", lambda: 1e11)
    monkeypatch.setattr(estimating.psutil, "virtual_memory", lambda: Memory)


class Memory:
    total = 64 * 2**30
    available = 48 * 2**30


def told(method, epochs=4, examples=ONE_WORDING, **settings):
    return estimate(SHAPE, examples, TrainSettings(epochs=epochs, **settings), METHODS[method])


@pytest.mark.parametrize(
    ("method", "layers", "lowest"),
    [("lora", 0, 0), ("lora", 5, 19), ("lora", 99, 0), ("last-layers", 0, 22), ("classifier", 0, 23), ("full", 2, 0)],
)
def test_the_lowest_layer_that_is_trained(method, layers, lowest):
    assert lowest_trained(SHAPE, TrainSettings(layers=layers), METHODS[method]) == lowest


def test_what_is_kept_of_frozen_layers_costs_memory_and_spares_time(monkeypatch):
    kept = told("last-layers")
    monkeypatch.setattr(estimating, "below_bytes", lambda: 0)
    again = told("last-layers")
    assert kept.seconds < again.seconds / 2
    assert kept.memory_mb - again.memory_mb == pytest.approx(50 * 100 * 896 * 4 / 2**20)
    assert kept.thrifty == again.thrifty and kept.steps == again.steps


def test_nothing_is_kept_where_the_lowest_layer_is_trained_or_nothing_comes_again(monkeypatch):
    whole, once = told("lora"), told("last-layers", epochs=1)
    monkeypatch.setattr(estimating, "below_bytes", lambda: 0)
    assert whole == told("lora") and once == told("last-layers", epochs=1)


def test_of_several_wordings_those_are_kept_that_come_again(monkeypatch):
    examples = [tuple(Sample((n, word, *range(98)), 60) for word in range(7)) for n in range(50)]
    few, more = told("last-layers", 7, examples), told("last-layers", 9, examples)
    monkeypatch.setattr(estimating, "below_bytes", lambda: 0)
    assert few == told("last-layers", 7, examples)
    spare = more.memory_mb - told("last-layers", 9, examples).memory_mb
    assert spare == pytest.approx(2 * 50 * 100 * 896 * 4 / 2**20)
