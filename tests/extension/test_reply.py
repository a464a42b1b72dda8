"""An answer in a chat: with its citations, and with nothing in it that acts."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_daemon import ABSTAINED, ANSWER, CITATION
from lorebook_extension.reply import finished, growing, told
from rendered import render

NASTY = st.sampled_from(
    ["<img src=x onerror=alert(1)>", "![a](http://e.org/p.png)", "[x](javascript:a)", "<script>alert(1)</script>",
     "```\n<b>", "https://e.org/x", "$x$", "`", "\x1b[2J", "[1]", "words"]
)  # fmt: skip


@pytest.mark.parametrize(
    ("body", "question"),
    [("@lorebook why?", "why?"), ("@Lorebook, why?", "why?"), ("why, @lorebook", "why,"), ("@lorebook", ""),
     ("@other @lorebook what is @x?", "@other what is @x?"), ("  @lorebook  ", "")],
)  # fmt: skip
def test_the_mention_is_no_part_of_the_question(body: str, question: str) -> None:
    assert told(body, "lorebook") == question


def test_the_answer_cites_and_marks_what_nothing_supports() -> None:
    text = finished(ANSWER, ("/data",))
    shown = render(text).text
    assert "Cell 5 drops them. [1]" in shown and "[1] clean.ipynb · cell 5 [In 7] lines 2-3" in shown
    assert "df = df.dropna()" in shown and "No passage supports:" in shown and "It rained." in shown
    assert "echo-1b · grounded 0.67 · 2.3 s" in shown


def test_an_abstention_tells_the_nearest_places() -> None:
    shown = render(finished(ABSTAINED, ("/data",))).text
    assert "I did not find" in shown and "clean.ipynb · cell 5 [In 7] lines 1-4" in shown
    assert "No passage supports" not in shown


@given(NASTY, NASTY)
def test_nothing_in_it_acts(one: str, other: str) -> None:
    citation = replace(CITATION, quote=one, path=other)
    claims = (replace(ANSWER.claims[2], text=one),)
    answer = replace(ANSWER, answer=one, citations=(citation,), claims=claims, model=other, notices=(one,))
    for text in (finished(answer, ()), growing(one + other)):
        for tag, attributes in render(text).tags:
            assert tag in {"p", "em", "strong", "ul", "li", "pre", "code", "br"}
            assert set(attributes) <= {"class"}
