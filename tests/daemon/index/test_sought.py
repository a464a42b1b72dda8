"""The names that questions want to see set."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorebook_daemon.index.rank import Question
from lorebook_daemon.index.sought import only_name, plain, sought_names


@pytest.mark.parametrize(
    ("question", "names"),
    [
        ("where is df defined?", ("df",)),
        ("Where is `df` defined?", ("df",)),
        ("which cell sets threshold?", ("threshold",)),
        ("where is the threshold set?", ("threshold",)),
        ("where do I set the threshold for the flood", ("threshold",)),
        ("where does the variable clean come from", ("clean",)),
        ("which cell creates the column extra_eur", ("extra_eur",)),
        ("definition of standing", ("standing",)),
        ("what does the function rake do", ("rake",)),
        ("the orders column", ("orders",)),
        ("where is `error` defined?", ("error",)),
        ("where is Threshold assigned", ("threshold",)),
        ("name x is not defined", ()),
        ("where does the error come from?", ()),
        ("is the test set balanced", ()),
        ("how is the index set up", ()),
        ("a set of rows", ()),
        ("why is the threshold so low", ()),
        ("", ()),
    ],
)
def test_a_name_beside_a_word_for_it(question, names):
    assert sought_names(question) == names


@pytest.mark.parametrize(
    ("question", "name"),
    [
        ("what is threshold", "threshold"),
        ("what is the threshold?", "threshold"),
        ("where is Threshold set", "threshold"),
        ("why is the threshold low", None),
        ("what is the error", None),
        ("what is 42", None),
        ("what is it", None),
        ("", None),
    ],
)
def test_the_one_word_that_a_question_is_about(question, name):
    assert only_name(question) == name


def test_an_identifier_alone_is_sought_with_and_without_backticks():
    for text in ("threshold", "`threshold`", "app.threshold", "threshold()", "`threshold()`"):
        question = Question.read(text)
        assert (question.identifier, question.sought, question.about) == ("threshold", ("threshold",), None)
    assert Question.read("where is `df`, please").names == ("df",)
    assert Question.read("the `app.run` of it").names == ("run",)


def test_a_word_between_backticks_says_nothing_of_the_form():
    assert Question.read("where is `error` defined").forms == frozenset()
    assert Question.read("where is the error").forms == {"error"}


@given(st.text(max_size=80))
def test_any_text_is_read(text):
    assert all(name == name.casefold() and name for name in sought_names(text))
    assert "`" not in plain(text)
