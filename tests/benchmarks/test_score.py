"""The scorer that others run over their own results."""

import json
import math
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fakes
from benchmarks.notebooks.queries import corpus, read_queries
from benchmarks.notebooks.score import QUERIES, main, ndcg, read_lines, score
from benchmarks.searches import okapi

PLACES = st.lists(st.tuples(st.sampled_from(["a.ipynb", "b.ipynb"]), st.sampled_from("xyz")), max_size=15)


@given(PLACES, st.sets(st.sampled_from("xyz"), min_size=1))
def test_ndcg_is_that_of_the_first_right_cell(found, cells):
    ranks = [n for n, (notebook, cell) in enumerate(found, 1) if notebook == "a.ipynb" and cell in cells and n <= 10]
    assert ndcg(found, "a.ipynb", cells) == (1 / math.log2(1 + ranks[0]) if ranks else 0.0)


def test_perfect_results_score_one_and_none_score_nought():
    queries = read_lines(QUERIES)
    perfect = [{"id": one["id"], "found": [[one["notebook"], one["cells"][-1]]]} for one in queries]
    assert set(score(queries, perfect).values()) == {1.0}
    assert set(score(queries, []).values()) == {0.0}


def test_it_agrees_with_our_own_measure():
    queries = read_queries()[:30]
    asked = corpus(queries, fakes.HashEmbedder())
    search = okapi(asked)
    found = {query.id: search(query.text, 10) for query in queries}
    ours = [question.ndcg(found[query.id], 10) for query, question in zip(queries, asked.questions, strict=True)]
    rows = [{"id": key, "found": [[one.path, one.cell.id] for one in passages]} for key, passages in found.items()]
    assert score(read_lines(QUERIES)[:30], rows)["all"] == pytest.approx(sum(ours) / 30)


def test_it_prints_each_group(tmp_path, monkeypatch, capsys):
    query = read_lines(QUERIES)[0]
    results = tmp_path / "results.jsonl"
    results.write_text(json.dumps({"id": query["id"], "found": [[query["notebook"], query["cells"][0]]]}) + "\n")
    monkeypatch.setattr(sys, "argv", ["score.py", str(results)])
    main()
    printed = dict(line.rsplit(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert printed["all"] == f"{1 / 294:.3f}"
    assert {"development", "test", "second", "words", "test, outputs"} <= set(printed)


def test_it_asks_for_the_results(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["score.py"])
    with pytest.raises(SystemExit, match="Type: python"):
        main()
