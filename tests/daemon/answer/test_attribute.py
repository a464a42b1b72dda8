import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorebook_daemon.answer.attribute import supporting_lines

TEXT = """def settle(readings, limit=12):
    # Twelve equal readings in a row mean that the sensor is stuck.
    run = 1
    for before, after in pairs(readings):
        run = run + 1 if before == after else 1
        if run >= limit:
            return True
    return False
rmse: 2.94 cm
r2: 0.9312"""


@pytest.mark.parametrize(
    ("sentence", "lines"),
    [
        ("The RMSE was 2.94 cm.", (8, 8)),
        ("A sensor is stuck after twelve equal readings in a row.", (1, 1)),
        ("The limit of settle is 12.", (0, 0)),
        ("It returns True when run reaches the limit.", (5, 6)),
    ],
)
def test_the_lines_that_a_sentence_rests_on(sentence: str, lines: tuple[int, int]) -> None:
    found = supporting_lines(sentence, TEXT)
    assert (found.start, found.end) == lines
    assert found.overlap > 0.3


def test_words_in_another_form_are_the_same() -> None:
    assert supporting_lines("The sensors are stuck.", TEXT).overlap == 1.0


RULES = """RULES = (
    # The heat pump draws air below 209.30.
    Rule("BH-03", Side.LOW, 209.42, tell="caretaker"),
)"""
WHO = "Who is informed when the groundwater beneath the school drops too far?"


def test_the_words_of_the_question_need_no_line_where_what_the_answer_adds_has_one() -> None:
    right = "The caretaker is informed when the groundwater beneath the school drops too far."
    assert supporting_lines(right, RULES).overlap < 0.3
    assert supporting_lines(right, RULES, WHO).overlap == 1.0


def test_they_do_where_what_the_answer_adds_has_none_or_it_adds_nothing() -> None:
    for claim in (
        "The mayor is informed when the caretaker's groundwater drops too far.",
        "The groundwater beneath the school of the caretaker drops.",
    ):
        question = f"{WHO} The caretaker?"
        assert supporting_lines(claim, RULES, question) == supporting_lines(claim, RULES)


def test_names_and_numbers_of_the_question_need_one_in_any_case() -> None:
    claim = "The caretaker is informed at BH-07."
    assert supporting_lines(claim, RULES, "Who is informed at BH-07?").overlap < 0.8
    assert supporting_lines(claim.replace("BH-07", "the weir"), RULES, "Who is informed at the weir?").overlap == 1.0


@given(st.text(max_size=80), st.text(max_size=300), st.text(max_size=80))
def test_lines_stay_within_the_passage(sentence: str, text: str, question: str) -> None:
    found = supporting_lines(sentence, text, question)
    assert 0 <= found.start <= found.end < len(text.split("\n"))
    assert 0.0 <= found.overlap <= 1.0 + 1e-9


def test_a_sentence_that_shares_nothing_points_at_the_whole_passage() -> None:
    found = supporting_lines("Bananas.", TEXT)
    assert (found.start, found.end, found.overlap) == (0, 9, 0.0)
