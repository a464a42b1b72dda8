"""Words that are written in two ways are found in both."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorebook_daemon.index.spelling import one_spelling
from lorebook_daemon.index.tokens import question_terms


@pytest.mark.parametrize(
    ("one", "other"),
    [("licence", "license"), ("colours", "colors"), ("Behaviour", "behavior"), ("normalise", "normalize"),
     ("normalisation", "normalization"), ("analysed", "analyzed"), ("centre", "center"), ("millimetres", "millimeters"),
     ("catalogue", "catalog"), ("cancelled", "canceled"), ("modelling", "modeling"), ("greyscale", "grayscale"),
     ("serialiseColour", "serializeColor"), ("fulfilment", "fulfillment"), ("neighbourhood", "neighborhood")],
)  # fmt: skip
def test_both_spellings_are_one_term(one: str, other: str) -> None:
    assert question_terms(one)[-1] == question_terms(other)[-1]


@pytest.mark.parametrize(
    ("one", "other"),
    [("raise", "raising"), ("disable", "disabled"), ("hour", "hourly"), ("source", "sources"), ("four", "fours"),
     ("model", "models"), ("fence", "fences"), ("store", "stored"), ("exercise", "exercises"), ("fulfil", "fulfill")],
)  # fmt: skip
def test_forms_of_a_word_are_still_one_term(one: str, other: str) -> None:
    assert question_terms(one) == question_terms(other)


@given(st.from_regex(r"[a-z]{1,20}", fullmatch=True))
def test_what_is_spelled_once_stays(word: str) -> None:
    assert one_spelling(one_spelling(word)) == one_spelling(word)
