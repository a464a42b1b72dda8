"""The measuring of retrieval in notebooks, with an embedder that knows nothing."""

import sys

import numpy as np
import pytest

import fakes
from benchmarks import notebook_retrieval
from benchmarks.notebooks.queries import corpus, read_queries


def test_an_interval_holds_the_mean_and_is_the_same_each_time():
    gains = np.random.default_rng(3).random(60)
    mean, low, high = notebook_retrieval.interval(gains)
    assert low < mean < high
    assert mean == pytest.approx(gains.mean())
    assert notebook_retrieval.interval(gains) == (mean, low, high)


def test_an_interval_of_equal_gains_has_no_width():
    assert notebook_retrieval.interval(np.full(9, 0.5)) == (0.5, 0.5, 0.5)


def test_a_question_is_answered_by_any_of_its_cells():
    query = next(query for query in read_queries() if len(query.cells) > 1)
    asked = corpus([query], fakes.HashEmbedder())
    right = [one for one in asked.passages if one.path == query.notebook and one.cell.id in query.cells]
    wrong = next(one for one in asked.passages if one.path != query.notebook)
    assert [asked.questions[0].ndcg([one], 10) for one in (*right, wrong)] == [*[1.0] * len(right), 0.0]
    assert asked.questions[0].ndcg([wrong, right[0]], 10) == pytest.approx(1 / np.log2(3))


@pytest.mark.parametrize("asked", [["--quick"], ["--losses", "--quick"], ["--split", "test", "--quick"]])
def test_it_prints_what_was_measured(asked, monkeypatch, capsys):
    monkeypatch.setattr(notebook_retrieval, "_embedder", fakes.HashEmbedder)
    monkeypatch.setattr(sys, "argv", ["notebook_retrieval", *asked])
    notebook_retrieval.main()
    printed = capsys.readouterr().out
    assert ("names 20: " in printed) == ("--losses" not in asked)
    assert ("wanted " if "--losses" in asked else "ours − ") in printed
