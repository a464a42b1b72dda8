from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorebook_daemon.index.passage import Cell, Passage
from lorebook_daemon.index.rank import DEPTH, MEANING, Found, Question, best_first, fuse
from lorebook_daemon.index.signals import (
    CELL_SIGNALS,
    SIGNALS,
    answer_form,
    cell_definition,
    definition,
    neighbours,
    path_words,
    side_files,
    spelled_definition,
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


def test_what_is_nothing_but_a_name_is_looked_up_by_its_letters_more_than_by_its_meaning():
    assert Question.read("qzvrtplk").meaning < Question.read("what is qzvrtplk").meaning


def test_a_name_that_is_spelled_in_plain_words_raises_what_defines_it():
    question = Question.read("how is a JSON array built")
    found = [
        *passages("Array.java", defines=("JsonArray",)),
        *passages("other.java"),
        *passages("array.py", defines=("json_array",)),
    ]
    scores = spelled_definition(question, found, equal(3))
    assert scores[0] == scores[2] > scores[1] == 0.5


def test_one_of_several_that_define_what_is_spelled_is_raised_less_and_one_of_many_not_at_all():
    question = Question.read("how do you evolve an instance")
    raised = [
        float(spelled_definition(question, passages(*["a.py"] * n, defines=("evolve",)), equal(n))[0])
        for n in range(1, 5)
    ]
    assert raised == sorted(raised, reverse=True)
    assert raised[0] > raised[2] > raised[3] == 0.5


def test_a_name_asked_for_as_such_counts_once():
    assert "base_model" not in Question.read("how does base_model start").spelled
    assert Question.read("base_model").spelled == ()


def words(ids, scores, full_score=10.0):
    return Found.by_words(np.array(ids, np.int64), np.array(scores, np.float64), full_score)


def meaning(ids, cosines):
    return Found.by_meaning(np.array(ids, np.int64), np.array(cosines, np.float32))


def falling(ids, first):
    return ids, [first / (place + 1) for place in range(len(ids))]


@given(rankings, rankings, st.floats(0.1, 40.0))
def test_fused_scores_fall_where_both_lists_fall(in_words, in_meaning, full_score):
    ids = list(dict.fromkeys([*in_words, *in_meaning]))
    fused = fuse(ids, words(*falling(in_words, 12.0), full_score), meaning(*falling(in_meaning, 0.8)), MEANING)
    scores = dict(zip(ids, fused.tolist(), strict=True))
    assert all(0.0 <= score <= 1.0 + 1e-12 for score in scores.values())
    both = [key for key in in_words if key in in_meaning]
    for one in both:
        for other in both:
            if in_words.index(one) < in_words.index(other) and in_meaning.index(one) < in_meaning.index(other):
                assert scores[one] > scores[other]


def test_first_in_both_scores_one_where_it_explains_all_and_in_neither_nothing():
    scores = fuse([7, 1, 9], words([7, 1], [10.0, 4.0]), meaning([7, 2], [0.6, 0.5]), MEANING)
    assert scores[0] == pytest.approx(1.0)
    assert scores[2] == 0.0


def test_one_list_alone_keeps_its_order():
    scores = fuse([1, 2, 3], words([3, 1, 2], [3.0, 2.0, 1.0]), Found(), MEANING)
    assert best_first(scores).tolist() == [2, 0, 1]


@pytest.mark.parametrize(("full_score", "first"), [(10.0, 1), (40.0, 2)], ids=["explained", "in other words"])
def test_words_decide_as_far_as_they_explain_the_question(full_score, first):
    ids = [1, 2]
    scores = fuse(ids, words([1], [9.0], full_score), meaning([2, 1], [0.6, 0.3]), MEANING)
    assert ids[np.argmax(scores)] == first


def test_half_explained_is_worth_less_than_half():
    assert words([1, 2], [10.0, 5.0]).worth([1, 2]).tolist() == [1.0, pytest.approx(0.354, abs=0.001)]


def test_a_clear_lead_outweighs_a_close_one():
    scores = fuse([1, 2], words([1, 2], [9.0, 1.0]), meaning([2, 1], [0.5, 0.49]), MEANING)
    assert scores[0] > scores[1]


@pytest.mark.parametrize("listed", [words, meaning])
def test_missing_from_a_full_list_counts_as_its_last(listed):
    full, short = (listed(range(n), np.linspace(0.9, 0.3, n)) for n in (DEPTH, DEPTH - 1))
    assert full.worth([99]).tolist() == [full.worths[-1]] != [0.0]
    assert short.worth([99]).tolist() == [0.0]


@pytest.mark.parametrize("cosines", [[], [0.0], [0.1], [-0.2, -0.3]])
def test_nothing_is_near_in_meaning(cosines):
    assert meaning(range(len(cosines)), cosines) == Found()


def test_confidence_is_of_the_question_whole():
    assert words([1], [5.0]).confidence == 0.5
    assert words([1], [12.0]).confidence == 1.0
    assert meaning([1, 2], [0.75, -0.1]).confidence == 0.75


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


def cell(type="code", shows="", **more):
    return Passage("a.ipynb", 1, 1, "text", "notebook", cell=Cell("c", 1, type, 1, shows), **more)


FORMS = [
    ("why was it dropped?", cell("markdown"), cell()),
    ("what is the reason for it", cell("markdown"), cell(shows="text")),
    ("the error when it is parsed", cell(shows="error"), cell(shows="text")),
    ("KeyError while sorting", cell(shows="error"), cell("markdown")),
    ("how many rows are left", cell(shows="text"), cell()),
    ("plot of the levels", cell(shows="image"), cell(shows="text")),
    ("function that sorts the rows", cell(), cell("markdown")),
]


@pytest.mark.parametrize(("text", "fits", "other"), FORMS, ids=[text for text, *_ in FORMS])
def test_cell_of_the_form_that_is_asked_for_rises(text, fits, other):
    scores = answer_form(Question.read(text), [other, fits, *passages("a.py")], equal(3))
    assert scores[1] > scores[0] == scores[2] == 0.5


def test_a_question_that_leaves_the_form_open_moves_nothing():
    found = [cell("markdown"), cell(shows="error"), cell(shows="image")]
    assert answer_form(Question.read("dropping the rows"), found, equal(3)).tolist() == [0.5] * 3


def test_the_cell_that_defines_the_name_asked_for_rises():
    first, again = cell(defines=("by_month",)), cell(defines=("by_month",), uses=("by_month",))
    found = [cell(uses=("by_month",)), again, first, *passages("a.py", defines=("by_month",))]
    scores = cell_definition(Question.read("where is by_month computed"), found, equal(4))
    assert scores[2] > scores[1] > scores[0] == scores[3] == 0.5


@pytest.mark.parametrize("text", ["where are months computed", "name by_month is not defined"])
def test_no_definition_rises_where_no_name_or_an_error_is_asked_for(text):
    assert cell_definition(Question.read(text), [cell(defines=("by_month",)), cell()], equal(2)).tolist() == [0.5] * 2


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
