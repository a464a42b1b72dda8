"""What form of answer questions want."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorebook_daemon.index.wanted import wanted


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
        ("standard error of the slope", set()),
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
