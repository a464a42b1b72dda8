"""Right or wrong: numbers, texts, programs; what is asked of the model, and what a row must hold."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import FakeEngine
from lorebook_api.errors import BadRequest
from lorebook_api.evaluation import ExactFormat
from lorebook_daemon.evaluate.exact import FORMATS, Answered, ExactTask, f1, holding, program, read_asked
from lorebook_daemon.evaluate.metric import values
from lorebook_daemon.evaluate.rows import Row
from lorebook_daemon.evaluate.store import Outcome
from lorebook_daemon.evaluate.task import Subject

GSM = {"question": "What do two and two make?", "answer": "2 + 2 = <<2+2=4>>4\n#### 1,004"}


def scored(name: ExactFormat, fields: dict[str, Any], said: str) -> Outcome:
    """Return what an answer comes to."""
    asked, _ = read_asked([Row(1, {**fields, "said": said})], name, "said")
    return asyncio.run(ExactTask(asked, name, 64).measure(0, Subject(FakeEngine())))


@pytest.mark.parametrize(
    ("said", "exact", "flexible"),
    [
        ("It is so.\n#### 1004", 1.0, 1.0),
        ("#### $1,004.00", 1.0, 1.0),
        ("The answer is 1004.", 0.0, 1.0),
        ("1004, no: #### 1005", 0.0, 0.0),
        ("I do not know.", 0.0, 0.0),
        ("", 0.0, 0.0),
    ],
)
def test_gsm8k_by_the_number_behind_the_marks_and_by_the_last_one(said: str, exact: float, flexible: float) -> None:
    assert dict(scored("gsm8k", GSM, said).scores) == {"exact": exact, "flexible": flexible}


@given(st.integers(-(10**9), 10**9), st.sampled_from(["{}", " {} ", "{:,}", "${:,}", "{}.0", "{}."]))
def test_a_number_is_right_however_it_is_written(number: int, written: str) -> None:
    (asked,), _ = read_asked([Row(1, {"question": "?", "answer": number})], "number")
    for said, exact in ((number, 1.0), (number + 1, 0.0)):
        found = values(FORMATS["number"].metrics, Answered(asked, written.format(said)))
        assert found == {"exact": exact, "flexible": exact}


def test_texts_are_compared_as_squad_does() -> None:
    row = {"question": "Who?", "answer": ["The Night Watch", "De Nachtwacht"]}
    assert dict(scored("text", row, "the night  watch!").scores) == {"exact": 1.0, "contains": 1.0, "f1": 1.0}
    longer = scored("text", row, "It is De Nachtwacht, of course").scores
    assert (longer["exact"], longer["contains"]) == (0.0, 1.0)
    assert scored("text", row, "nightwatchman").scores["contains"] == 0.0, "whole words alone"
    assert f1(["a", "b", "c"], ["b", "c", "d"]) == pytest.approx(2 / 3)


HUMAN_EVAL = {
    "prompt": "def double(x):\n    return",
    "entry_point": "double",
    "test": "def check(f):\n    assert f(2) == 4",
}


@pytest.mark.parametrize(
    ("said", "passed", "note"),
    [
        ("```python\ndef double(x):\n    return 2 * x\n```", 1.0, ""),
        (" 2 * x", 1.0, ""),
        ("Here:\n```\ndef double(x): return x\n```\nThere.", 0.0, "failed: AssertionError"),
        ("I cannot.", 0.0, "failed: SyntaxError"),
        ("```python\nimport os\ndef double(x):\n    os.fork()\n    return 4\n```", 0.0, "refused: it calls os.fork"),
        ("", 0.0, "the answer is empty"),
    ],
)
def test_programs_are_run_with_their_tests(said: str, passed: float, note: str) -> None:
    outcome = scored("code", HUMAN_EVAL, said)
    assert outcome.scores == {"passed": passed}
    assert note in outcome.note and bool(note) == bool(outcome.note)


def test_mbpp_s_tests_are_a_list() -> None:
    row = {"text": "Double.", "test_list": ["assert double(2) == 4"], "test_setup_code": "import math"}
    assert scored("code", row, "def double(x): return 2 * x").scores["passed"] == 1.0
    (asked,), _ = read_asked([Row(1, row)], "code")
    assert "assert double(2) == 4" in asked.question, "what it is called stands in the tests alone"
    assert program("```py\na = 1\n```\nand\n```\nb = 2\n```", asked) == "a = 1\n\nb = 2\n"


def test_the_model_is_asked_where_there_is_no_response() -> None:
    asked, _ = read_asked([Row(1, GSM)], "gsm8k")
    engine = FakeEngine(answer="#### 1004")
    outcome = asyncio.run(ExactTask(asked, "gsm8k", 64).measure(0, Subject(engine)))
    assert outcome.scores["exact"] == 1.0 and outcome.said == "#### 1004"
    assert "Think step by step" in engine.prompts[0].messages[-1].content


@pytest.mark.parametrize(
    ("name", "row", "why"),
    [
        ("gsm8k", {"question": "?", "answer": "four"}, "####"),
        ("number", {"question": "?", "answer": "four"}, "no number"),
        ("number", {"question": "?", "answer": "inf"}, "no number"),
        ("text", {"question": "?"}, "missing"),
        ("text", {"question": "?", "answer": " "}, "empty"),
        ("code", {"prompt": "?"}, "missing"),
        ("code", {"prompt": "?", "test": "assert 1", "entry_point": "f()"}, "no name"),
        ("text", {"answer": "yes"}, "missing"),
    ],
)
def test_a_row_that_cannot_be_used(name: ExactFormat, row: dict[str, Any], why: str) -> None:
    good: dict[str, dict[str, Any]] = {"gsm8k": GSM, "code": HUMAN_EVAL}
    rows = [Row(1, row), Row(2, good.get(name, {"question": "?", "answer": "4"}))]
    asked, skipped = read_asked(rows, name)
    assert [one.row for one in asked] == [2]
    assert [one.row for one in skipped] == [1] and why in skipped[0].why
    with pytest.raises(BadRequest, match="no row can be used"):
        read_asked(rows[:1], name)


def test_how_programs_are_held_is_said() -> None:
    assert holding("text") == ()
    (told,) = holding("code")
    assert "audit hook" in told and "a clock" in told


def test_every_format_scores_an_empty_answer_with_nothing() -> None:
    for name in FORMATS:
        row = GSM if name == "gsm8k" else HUMAN_EVAL if name == "code" else {"question": "?", "answer": "4"}
        assert not any(scored(name, row, "").scores.values())
