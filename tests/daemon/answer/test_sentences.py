from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorebook_daemon.answer.sentences import sentences, without_marks


@given(st.text(alphabet="aA1.!? \n`-:*#(\"'é", max_size=120))
def test_sentences_are_slices_in_order_that_leave_out_no_word(text: str) -> None:
    found = sentences(text)
    assert all(s.text == text[s.start : s.end] and s.text.strip() for s in found)
    assert all(a.end <= b.start for a, b in pairwise(found))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It is 2.94 cm. The forest got 0.62.", ["It is 2.94 cm.", "The forest got 0.62."]),
        ("See e.g. Fig. 3 for that, i.e. the plot.", ["See e.g. Fig. 3 for that, i.e. the plot."]),
        ("Call `a.b()`. Then `c()`.", ["Call `a.b()`.", "Then `c()`."]),
        ("No full stop", ["No full stop"]),
        ("- one thing\n- another thing", ["- one thing", "- another thing"]),
        (
            "Use this:\n```python\nx = 1. \nY = 2\n```\nIt works.",
            ["Use this:\n```python\nx = 1. \nY = 2\n```", "It works."],
        ),
        ("# Title\n\nText here.\n---\n", ["Text here."]),
        ("As follows:", ["As follows:"]),
        ("", []),
    ],
)
def test_what_one_claim_is(text: str, expected: list[str]) -> None:
    assert [s.text for s in sentences(text)] == expected


def test_the_models_own_marks_go_but_links_and_indexes_stay() -> None:
    assert without_marks("It is 3 [1]. And [2](x.md) and a[12] too [3].") == "It is 3. And [2](x.md) and a[12] too."
