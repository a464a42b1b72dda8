"""What the benchmarks reckon with: names, verdicts, distances of distributions, right facts, the order of questions."""

import importlib.util

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax
from scipy.stats import entropy

from benchmarks import __main__ as command
from benchmarks.first_token import COLD, NEW, SAME, script
from benchmarks.parity import divergence
from benchmarks.questions import right
from benchmarks.verdict import say

LOGITS = st.lists(st.floats(-20, 20), min_size=5, max_size=5)


@pytest.mark.parametrize("name", [*command.NAMES, *command.ON_REQUEST])
def test_every_name_is_a_benchmark(name):
    assert importlib.util.find_spec(f"benchmarks.{name}")


def test_a_wrong_name_is_refused(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["benchmarks", "first_tokn", "--quick"])
    assert command.main() == 2
    assert "first_token" in capsys.readouterr().err


@given(LOGITS, LOGITS)
def test_a_divergence_is_that_of_the_textbook(left, right_one):
    full, blocks = log_softmax(left), log_softmax(right_one)
    compared = divergence(full, blocks)
    assert compared.kl == pytest.approx(entropy(np.exp(full), np.exp(blocks)), abs=1e-6)
    assert compared.same_first == (full.argmax() == blocks.argmax())


@pytest.mark.parametrize(("bound", "reached"), [({"at_most": 0.12}, True), ({"at_least": 0.97}, False)])
def test_a_figure_is_held_against_its_reach(bound, reached, capsys):
    assert say("a figure", 0.1, **bound) is reached
    assert ("NOT REACHED" in capsys.readouterr().out) is not reached


@pytest.mark.parametrize(
    ("spelling", "text", "expected"),
    [
        ("78", "It takes 78 days.", True),
        ("78", "It takes 178 days.", False),
        ("78", "0.78", False),
        ("Ochre", "ochre", True),
    ],
)
def test_a_number_in_another_number_is_no_right_fact(spelling, text, expected):
    assert right([spelling], text) is expected


def test_every_set_is_asked_cold_first_and_then_in_orders_it_was_not_read_in():
    asked = list(script([["a", "b", "c"], ["d", "e", "f"]]))
    assert [one.situation for one in asked] == [COLD, SAME, NEW, NEW] * 2
    assert asked[0].prompt.passages == asked[1].prompt.passages == ("a", "b", "c")
    assert len({one.prompt.passages for one in asked[1:4]}) == 3
    assert len({one.prompt.messages for one in asked[:4]}) == 4
