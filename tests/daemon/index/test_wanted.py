"""What form of answer questions want."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorebook_daemon.index.wanted import beside_failure, failed_here, wanted


@pytest.mark.parametrize(
    ("question", "forms"),
    [
        ("Why are there fewer rows?", {"reason"}),
        ("why is the average too high", {"reason"}),
        ("reasons for dropping well 3", {"reason"}),
        ("should I trust the last column", {"reason"}),
        ("ValueError while parsing dates", {"error"}),
        ("which cell fails", {"error"}),
        ("name x is not defined", {"error"}),
        ("what went wrong?", {"error"}),
        ("why does it crash", {"error", "reason"}),
        ("what broke", {"error"}),
        ("KeyboardInterrupt", {"error"}),
        ("standard error of the slope", set()),
        ("how is the error computed?", set()),
        ("mean absolute error of the forecast", {"result"}),
        ("margin of error", set()),
        ("error of the slope", set()),
        ("the error of the export", {"error"}),
        ("how are errors handled", set()),
        ("error bars", set()),
        ("how many rows were dropped", {"result"}),
        ("the longest gap", {"result"}),
        ("p-value of the test", {"result"}),
        ("the method with the largest score", {"code", "result"}),
        ("chart of the levels", {"picture"}),
        ("a regular expression for log lines", {"code"}),
        ("rows that were dropped", set()),
        ("counterpart of the meantime", set()),
        ("Warum fehlt das?", set()),
        ("", set()),
    ],
)
def test_the_words_of_a_question_say_what_form_its_answer_has(question, forms):
    assert wanted(question) == forms


@given(st.text(max_size=80))
def test_case_and_outer_white_space_do_not_count(question):
    if question.isascii():
        assert wanted(question) == wanted(f"  {question.upper()} ")


@given(st.text(max_size=80))
def test_who_asks_why_wants_no_number(question):
    assert not {"reason", "result"} <= wanted(f"why {question}")


@pytest.mark.parametrize(
    ("question", "terms"),
    [
        ("which cell failed?", ()),
        ("What went wrong here?", ()),
        ("where does the error come from?", ()),
        ("why does it crash", ()),
        ("KeyError", ("keyerror", "key", "error")),
        ("what went wrong with the fit", ("fit",)),
        ("is that wrong?", ("wrong",)),
    ],
)
def test_what_a_question_speaks_of_beside_a_failure(question, terms):
    assert beside_failure(question) == terms


@pytest.mark.parametrize(
    ("question", "here"),
    [
        ("which cell of the model failed", True),
        ("why does it crash", True),
        ("NameError", True),
        ("from when to when did the server answer with errors", False),
        ("when the payment fails, is there a retry?", False),
    ],
)
def test_a_failure_that_happened_is_told_from_failures_as_such(question, here):
    assert failed_here(question) is here
