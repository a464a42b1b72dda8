"""Tests of the figures: multiple choice, the judge's number, standard errors, correlations."""

from __future__ import annotations

import asyncio
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import FakeEngine
from lorebook_api.errors import BadRequest
from lorebook_api.evaluation import JudgeRequest
from lorebook_api.schema import Progress
from lorebook_daemon.engine.protocol import Continued
from lorebook_daemon.evaluate.items import Choice, Item, Items
from lorebook_daemon.evaluate.judge import expected, judge, read_judged
from lorebook_daemon.evaluate.multiple_choice import Answered, answer_items, figures
from lorebook_daemon.evaluate.rows import Row
from lorebook_daemon.evaluate.statistics import bootstrap, pearson, ranks, spearman, standard_error


def item(name: str, *texts: str, right: int = 0) -> Item:
    return Item(name, tuple(Choice("Which of ice and snow?", f" {text}") for text in texts), (right,), texts)


def test_the_likeliest_choice_is_the_answer_by_sum_by_characters_and_by_bytes() -> None:
    long = item("1", "ab", "abcdefgh")
    answered = Answered(long, (-2.0, -4.0))
    assert (answered.right(), answered.right([2, 8])) == (1.0, 0.0)
    bytes_differ = Answered(item("2", "éé", "abc"), (-4.0, -5.0))  # 2 characters and 4 bytes against 3 and 3
    found = figures([answered, bytes_differ])
    assert (found.acc, found.acc_norm, found.acc_bytes, found.n) == (1.0, 0.0, 0.5, 2)
    assert figures([Answered(long, (-1.0, -1.0))]).acc == 1.0, "of equal ones the first"


def test_the_mass_of_what_is_right() -> None:
    answered = Answered(Item("1", (), (0, 2), ()), (math.log(0.2), math.log(0.6), math.log(0.2)))
    assert figures([answered], by_mass=True).acc == pytest.approx(0.4)
    with pytest.raises(BadRequest):
        figures([])


def test_items_are_asked_of_the_engine_with_progress() -> None:
    told: list[Progress] = []
    items = Items((item("1", "ice", "fire"), item("2", "fire", "snow", right=1), item("3", "sand", "ice")), ())
    answered, skipped = asyncio.run(answer_items(items, FakeEngine(), (), told.append))
    assert [one.right() for one in answered] == [1.0, 1.0, 0.0]
    assert skipped == []
    assert [progress.done for progress in told] == [1, 2, 3]


def numbers(weights: dict[int, float], *, digits: bool) -> list[Continued]:
    """Return what an engine tells of 0 to 100 where the model says each number so often."""

    def begun(value: int) -> float:
        if not digits:
            return weights.get(value, 1e-9)
        return sum(weight for number, weight in weights.items() if str(number).startswith(str(value))) or 1e-9

    return [Continued(math.log(begun(n)), len(str(n)) if digits else 1, False) for n in range(101)]


@pytest.mark.parametrize("digits", [True, False])
@given(weights=st.dictionaries(st.integers(0, 100), st.floats(0.01, 1.0), min_size=1, max_size=8))
def test_the_judge_s_number_is_the_expected_value(digits: bool, weights: dict[int, float]) -> None:
    wanted = sum(n * weight for n, weight in weights.items()) / sum(weights.values())
    assert expected(numbers(weights, digits=digits)) == pytest.approx(wanted, abs=0.01)


def test_every_row_gets_a_number() -> None:
    rows = [Row(n, {"instruction": f"Do {n}", "output": "x", "said": "y" if n != 2 else None}) for n in range(1, 5)]
    request = JudgeRequest("/rows.json", "said", "output", "Be kind.")
    judged, skipped = read_judged(rows, request)
    assert [one.row for one in skipped] == [2]
    assert "Be kind." in judged[0].prompt().messages[-1].content
    scores, too_long = asyncio.run(judge(judged, FakeEngine(), (), lambda progress: None))
    assert len(scores) == 3
    assert all(0 <= score <= 100 for score in scores)
    assert too_long == []
    with pytest.raises(BadRequest, match="no row can be judged"):
        read_judged(rows, JudgeRequest("/rows.json", "nothing"))


def test_standard_errors_and_intervals() -> None:
    assert standard_error([1.0]) == 0.0
    assert standard_error([0.0, 1.0, 1.0, 0.0]) == pytest.approx(math.sqrt(1 / 3) / 2)
    interval = bootstrap([0.0, 1.0] * 50)
    assert interval.value == 0.5
    assert 0.35 < interval.low < 0.45 < 0.55 < interval.high < 0.65
    assert bootstrap([0.0, 1.0] * 50) == interval
    with pytest.raises(ValueError, match="nothing"):
        bootstrap([])


def test_correlations() -> None:
    assert pearson([1, 2, 3], [2, 4, 6]) == pytest.approx(1.0)
    assert pearson([1, 1, 1], [2, 4, 6]) is None
    assert spearman([1, 2, 3, 4], [1, 10, 100, 50]) == pytest.approx(0.8)
    assert ranks([3, 1, 3, 2]) == [3.5, 1.0, 3.5, 2.0]
