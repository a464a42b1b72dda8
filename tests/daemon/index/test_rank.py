from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorebook_daemon.index.passage import Cell, Passage
from lorebook_daemon.index.rank import Found, Question, best_first, fuse
from lorebook_daemon.index.signals import (
    CELL_SIGNALS,
    SIGNALS,
    definition,
    neighbours,
    path_words,
    side_files,
    spread,
    together,
)

rankings = st.lists(st.integers(0, 30), unique=True, max_size=20)


def passages(*paths, **more):
    return [Passage(path, 1, 1, "text", "code", **more) for path in paths]


def equal(n):
    return np.full(n, 0.5)


def test_a_name_is_read_as_a_name():
    assert Question.read("BaseModel").asked == ("BaseModel",)
    assert Question.read("how does BaseModel start").asked == ("BaseModel",)
    assert Question.read("how does it start").asked == ()


def found(ids):
    return Found(ids, [1 / (place + 1) for place in range(len(ids))])


@given(rankings, rankings, st.floats(0.0, 1.0))
def test_fused_scores_fall_with_the_ranks(by_words, by_meaning, share):
    shares = dict.fromkeys([*by_words, *by_meaning], share)
    scores = fuse(found(by_words), found(by_meaning), shares)
    assert scores.keys() == shares.keys()
    assert all(0.0 <= score <= 1.0 + 1e-12 for score in scores.values())
    both = [key for key in by_words if key in by_meaning]
    for one in both:
        for other in both:
            if by_words.index(one) < by_words.index(other) and by_meaning.index(one) < by_meaning.index(other):
                assert scores[one] > scores[other]


def test_first_in_both_lists_scores_one_and_in_neither_nothing():
    scores = fuse(found([7, 1]), found([7, 2]), {7: 0.3, 1: 0.3, 2: 0.3, 9: 0.3})
    assert scores[7] == pytest.approx(1.0)
    assert scores[9] == 0.0


def test_one_list_alone_keeps_its_order():
    scores = fuse(found([3, 1, 2]), Found(), dict.fromkeys((1, 2, 3), 0.0))
    assert sorted(scores, key=scores.__getitem__, reverse=True) == [3, 1, 2]


def test_a_clear_lead_outweighs_ranks():
    clear, close = Found([1, 2], [9.0, 1.0]), Found([2, 1], [0.5, 0.49])
    scores = fuse(clear, close, {1: 0.5, 2: 0.5})
    assert scores[1] > scores[2]


def test_best_first_is_stable():
    assert best_first(np.array([0.1, 0.9, 0.9, 0.1])).tolist() == [1, 2, 0, 3]


def test_definition_of_the_name_comes_first():
    cards = passages("a.py") + passages("b.py", defines=("Session",))
    assert np.argmax(definition(Question.read("Session"), cards, np.array([1.0, 0.0]))) == 1
    assert np.argmax(definition(Question.read("what does a LongSession do"), cards, np.array([1.0, 0.0]))) == 0


def test_file_called_as_asked_rises():
    scores = path_words(Question.read("how are cookies parsed"), passages("a.py", "cookie_parser.py"), equal(2))
    assert scores[1] > scores[0] == 0.5


def test_file_with_more_of_what_was_found_rises():
    scores = together(Question.read("any"), passages("a.py", "b.py", "b.py"), equal(3))
    assert scores[1] > scores[0]
    assert scores[2] == 0.5


SIDE_PATHS = [
    "tests/test_a.py",
    "pkg/test_a.py",
    "a_test.go",
    "src/GsonTest.java",
    "app.spec.ts",
    "examples/a.py",
    "pkg/_compat.py",
    "pkg/__init__.py",
    "types/a.d.ts",
]


@pytest.mark.parametrize("path", SIDE_PATHS)
def test_side_file_sinks_unless_asked_for(path):
    cards = passages(path, "pkg/contest.py")
    lowered = side_files(Question.read("how is it parsed"), cards, equal(2))
    assert lowered[0] < lowered[1] == 0.5
    assert side_files(Question.read("which tests cover parsing"), cards, equal(2)).tolist() == [0.5, 0.5]


def test_top_shows_several_files():
    cards = passages("a.py", "a.py", "b.py")
    scores = spread(Question.read("any"), cards, np.array([1.0, 0.9, 0.8]))
    assert best_first(scores).tolist() == [0, 2, 1]


def cells(*indexes, path="a.ipynb"):
    return [Passage(path, 1, 1, "text", "notebook", cell=Cell(str(index), index, "code")) for index in indexes]


def test_cell_between_found_cells_rises():
    found = [*cells(3, 4, 5, 9), *cells(10, path="b.ipynb"), *passages("a.py")]
    scores = neighbours(Question.read("any"), found, np.array([0.6, 0.5, 0.6, 0.5, 0.5, 0.7]))
    assert scores[1] > scores[3] == scores[4]
    assert scores[5] == 0.7


def test_parts_of_one_cell_do_not_raise_each_other():
    one, two = (
        neighbours(Question.read("any"), cells(3, 3), equal(2)),
        neighbours(Question.read("a"), cells(3), equal(1)),
    )
    assert one.tolist() == [two[0]] * 2


@pytest.mark.parametrize("signal", [*SIGNALS.values(), *CELL_SIGNALS.values()])
@given(
    st.lists(st.sampled_from(["a.py", "tests/b.py", "c/d.ipynb", "notes.md"]), min_size=1, max_size=8),
    st.text(max_size=30),
    st.integers(0, 99),
)
def test_every_signal_keeps_scores_in_place(signal, paths, text, seed):
    scores = np.random.default_rng(seed).random(len(paths))
    before = scores.copy()
    after = signal(Question.read(text), passages(*paths), scores)
    assert after.shape == scores.shape
    assert (after >= 0).all()
    np.testing.assert_array_equal(scores, before)
