from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rank_bm25 import BM25Plus

from lorebook_api.errors import Unusable
from lorebook_daemon.index import lexical
from lorebook_daemon.index.lexical import K1, B, Lexical
from lorebook_daemon.index.passage import Passage
from lorebook_daemon.index.tokens import passage_terms, question_terms

WORDS = ["alpha", "beta", "gamma", "delta", "loadData", "load_rows", "rows", "x1", "naïve"]
texts = st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join)
corpora = st.lists(texts, min_size=1, max_size=14)
questions = st.lists(st.sampled_from([*WORDS, "unknown"]), min_size=1, max_size=5).map(" ".join)


def rows(corpus, first=0, kind="code"):
    return [(first + n, Passage(f"file{n}.py", 1, 1, text, kind)) for n, text in enumerate(corpus)]


def reference(passages, terms):
    bags = [[term for term, times in passage_terms(passage).items() for _ in range(times)] for passage in passages]
    bm25 = BM25Plus(bags, k1=K1, b=B)
    constant = sum(bm25.idf.get(term, 0.0) * bm25.delta for term in terms)
    return bm25.get_scores(terms) - constant


@given(corpora, questions)
def test_scores_are_those_of_rank_bm25(corpus, question):
    terms = question_terms(question)
    expected = reference([passage for _, passage in rows(corpus)], terms)
    np.testing.assert_allclose(Lexical.build(rows(corpus)).scores(terms), expected, atol=1e-9, rtol=0)


@given(corpora, questions)
def test_top_ten_is_that_of_rank_bm25(corpus, question):
    terms = question_terms(question)
    expected = reference([passage for _, passage in rows(corpus)], terms).round(9)
    ids, scores = Lexical.build(rows(corpus)).top(terms, 10)
    order = sorted(np.flatnonzero(expected > 0), key=lambda place: (-expected[place], place))[:10]
    np.testing.assert_allclose(scores, expected[order], atol=1e-8)
    assert set(ids[scores > scores.min(initial=np.inf) + 1e-8]) <= set(order)


@given(corpora, corpora, st.data(), questions)
@settings(max_examples=60)
def test_changed_equals_built_anew(corpus, extra, data, question):
    old, new = rows(corpus), rows(extra, first=100)
    removed = data.draw(st.sets(st.sampled_from([key for key, _ in old])))
    with patch.object(lexical, "_STRETCH", data.draw(st.sampled_from([0, 2, 200]))):
        changed = Lexical.build(old).without(removed).joined(Lexical.build(new))
    anew = Lexical.build([row for row in old if row[0] not in removed] + new)
    for name in ("hashes", "starts", "places", "counts", "ids", "kinds", "lengths"):
        ours, theirs = getattr(changed, name), getattr(anew, name)
        assert ours.dtype == theirs.dtype
        assert ours.tolist() == theirs.tolist()
    terms = question_terms(question)
    np.testing.assert_array_equal(changed.scores(terms), anew.scores(terms))


def test_an_id_removed_and_added_is_replaced():
    index = Lexical.build(rows(["alpha"])).without([0]).joined(Lexical.build(rows(["beta"])))
    assert index.top(["alpha"], 5)[0].tolist() == []
    assert index.top(["beta"], 5)[0].tolist() == [0]


@given(corpora, questions, st.integers(1, 8), st.data())
def test_long_lists_that_are_only_looked_up_give_the_same_top(corpus, question, n, data):
    index, terms = Lexical.build(rows(corpus * 3)), question_terms(question)
    among = np.array(data.draw(st.lists(st.booleans(), min_size=len(index.ids), max_size=len(index.ids))), bool)
    scores = np.where(among, index.scores(terms), 0.0)
    ids, best = index.top(terms, n, among)
    with patch.object(lexical, "_LONG", 0):
        looked_up, as_good = index.top(terms, n, among)
    order = np.lexsort((np.arange(len(scores)), -scores.round(9)))[: min(n, np.count_nonzero(scores))]
    assert looked_up.tolist() == ids.tolist() == index.ids[order].tolist()
    np.testing.assert_allclose(as_good, best, atol=1e-12)


@given(corpora)
@settings(max_examples=20)
def test_saved_and_loaded_is_the_same(tmp_path_factory, corpus):
    file = tmp_path_factory.mktemp("lexical") / "words"
    index = Lexical.build(rows(corpus, kind="doc"))
    index.save(file)
    loaded = Lexical.load(file)
    assert [loaded.held_by(term) for term in ("alpha", "row")] == [index.held_by(term) for term in ("alpha", "row")]
    assert loaded.of_kind("doc").all()
    np.testing.assert_array_equal(loaded.scores(["alpha", "row"]), index.scores(["alpha", "row"]))


def test_nothing_indexed(tmp_path):
    index = Lexical.build([])
    assert index.top(["alpha"], 5)[0].tolist() == []
    index.save(tmp_path / "words")
    assert Lexical.load(tmp_path / "words").joined(Lexical.build(rows(["alpha"]))).held_by("alpha") == 1


def test_all_removed():
    emptied = Lexical.build(rows(["alpha", "beta"])).without([0, 1])
    assert (len(emptied.ids), len(emptied.hashes), emptied.starts.tolist()) == (0, 0, [0])
    assert emptied.top(["alpha"], 5)[0].tolist() == []


def test_only_passages_with_a_term_are_found_and_equals_come_in_order():
    ids, scores = Lexical.build(rows(["alpha", "beta", "alpha", "alpha"])).top(["alpha"], 2)
    assert ids.tolist() == [0, 2]
    assert scores[0] == scores[1] > 0


def test_among_limits_what_is_found():
    index = Lexical.build(rows(["alpha"], kind="code") + rows(["alpha"], first=7, kind="notebook"))
    assert index.top(["alpha"], 5, index.of_kind("notebook"))[0].tolist() == [7]


def test_full_score_is_reached_by_a_passage_that_holds_all():
    index = Lexical.build(rows(["alpha beta", "gamma beta", "gamma delta"]))
    terms = ["alpha", "beta"]
    assert index.top(terms, 1)[1][0] == pytest.approx(index.full_score(terms), rel=0.05)
    assert index.full_score(["unknown"]) == index.full_score(["alpha"])


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: data[:100], lambda data: b"not an archive" * 9])
def test_damaged_file_is_unusable(tmp_path, damage):
    file = tmp_path / "words"
    Lexical.build(rows(["alpha"])).save(file)
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(Unusable, match="word index"):
        Lexical.load(file)


def test_missing_file_is_unusable(tmp_path):
    with pytest.raises(Unusable):
        Lexical.load(tmp_path / "none.npz")
