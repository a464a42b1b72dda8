"""Tests of the figures: multiple choice, the judge's number, standard errors, correlations."""

from __future__ import annotations

import asyncio
import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import FakeEngine
from lorebook_api.errors import BadRequest, NotFound, TooLong
from lorebook_api.evaluation import JudgeRequest
from lorebook_api.indexing import Progress
from lorebook_daemon.engine.protocol import ASKING, Continued
from lorebook_daemon.evaluate.human import read_scores
from lorebook_daemon.evaluate.items import Choice, Item, Items
from lorebook_daemon.evaluate.judge import JudgeTask, agreement, expected, length_bias, read_judged
from lorebook_daemon.evaluate.metric import values
from lorebook_daemon.evaluate.multiple_choice import METRICS, Answered, ChoiceTask
from lorebook_daemon.evaluate.rows import Row
from lorebook_daemon.evaluate.statistics import bootstrap, pearson, ranks, spearman, standard_error
from lorebook_daemon.evaluate.task import Measured, Subject, Task, run_task


def item(name: str, *texts: str, right: int = 0) -> Item:
    return Item(name, tuple(Choice("Which of ice and snow?", f" {text}") for text in texts), (right,), texts, int(name))


def run(task: Task, engine: FakeEngine | None = None, told: list[Progress] | None = None) -> Measured:
    """Measure a task with a fake engine."""
    report = (told if told is not None else []).append
    return asyncio.run(run_task(task, Subject(engine or FakeEngine()), report, {}, lambda name, outcome: None))


def test_the_likeliest_choice_is_the_answer_by_sum_by_characters_and_by_bytes() -> None:
    answered = Answered(item("1", "ab", "abcdefgh"), (-2.0, -4.0))
    assert (answered.right(), answered.right([2, 8])) == (1.0, 0.0)
    bytes_differ = Answered(item("2", "éé", "abc"), (-4.0, -5.0))  # 2 characters and 4 bytes against 3 and 3
    assert values(METRICS, bytes_differ) == {"acc": 1.0, "acc_norm": 0.0, "acc_bytes": 1.0}
    assert Answered(item("3", "ab", "cd"), (-1.0, -1.0)).right() == 1.0, "of equal ones the first"


def test_the_mass_of_what_is_right() -> None:
    answered = Answered(Item("1", (), (0, 2), (), 1), (math.log(0.2), math.log(0.6), math.log(0.2)))
    assert answered.mass == pytest.approx(0.4)


def test_items_are_asked_of_the_engine_with_progress() -> None:
    told: list[Progress] = []
    items = Items((item("1", "ice", "fire"), item("2", "fire", "snow", right=1), item("3", "sand", "ice")), ())
    found = run(ChoiceTask(items), told=told)
    assert found.values("acc") == [1.0, 1.0, 0.0]
    assert found.skipped == ()
    assert [progress.done for progress in told] == [1, 2, 3]
    figure = found.figures()["acc"]
    assert (figure.value, figure.n) == (pytest.approx(2 / 3), 3)


def test_items_longer_than_the_context_are_listed_and_the_rest_goes_on() -> None:
    class Short(FakeEngine):
        async def continuations(self, prompt, texts, adapters=(), turn=ASKING):
            if "long" in texts[0]:
                raise TooLong("it does not fit.", "Shorten it.")
            return await super().continuations(prompt, texts, adapters, turn)

    found = run(ChoiceTask(Items((item("7", "long"), item("2", "ice", "fire")), ())), Short())
    assert [(one.row, one.why) for one in found.skipped] == [(7, "it does not fit. Shorten it.")]
    assert list(found.outcomes) == ["2"]
    with pytest.raises(BadRequest, match="no item could be measured"):
        run(ChoiceTask(Items((item("1", "long"),), ())), Short())


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
    found = run(JudgeTask(judged))
    assert len(found.values("score")) == 3
    assert all(0 <= score <= 100 for score in found.values("score"))
    assert found.skipped == ()
    with pytest.raises(BadRequest, match="no row can be judged"):
        read_judged(rows, JudgeRequest("/rows.json", "nothing"))


def test_a_model_that_answers_nothing_gets_nothing_and_is_listed() -> None:
    judged, _ = read_judged([Row(7, {"question": "Why?", "said": "  "})], JudgeRequest("/rows.json", "said"))
    found = run(JudgeTask(judged))
    assert found.values("score") == [0.0]
    assert found.notes == ("item 7: the response is empty",)


def test_agreement_with_the_scores_that_the_data_holds() -> None:
    rows = [Row(n, {"question": "Why?", "said": "so " * n, "gpt": str(10 * n)}) for n in range(10)]
    judged, skipped = read_judged(
        [
            *rows,
            Row(10, {"question": "?", "said": "x", "gpt": "good"}),
            Row(11, {"question": "?", "said": "x", "gpt": 101}),
        ],
        JudgeRequest("/rows.json", "said", human="gpt"),
    )
    assert [one.why for one in skipped] == ["`gpt` is no number", "`gpt` is 101, which is not from 0 to 100"]
    told = agreement(judged, [5.0 * n for n in range(10)])
    assert told is not None
    assert (told.pearson, told.spearman, told.n) == (pytest.approx(1.0), pytest.approx(1.0), 10)
    assert told.calibrated_error == pytest.approx(0.0, abs=1e-9), "twice as high is a line"
    assert told.calibrated_mean == pytest.approx(45.0), "as those whose scores they are"
    assert told.length == pytest.approx(-1.0), "the longer, the more it lags behind"
    assert length_bias(judged, [5.0 * n for n in range(10)]) == pytest.approx(1.0), "without another's scores"
    constant = agreement(judged, [5.0] * 10)
    assert constant is not None and constant.pearson is None
    assert agreement(read_judged(rows, JudgeRequest("/rows.json", "said"))[0], [1.0] * 10) is None


def test_rows_that_nobody_else_scored_are_judged_and_calibrated_on_the_others() -> None:
    rows = [Row(n, {"question": "Why?", "said": "so", "gpt": 10 * n if n < 9 else None}) for n in range(11)]
    judged, skipped = read_judged(rows, JudgeRequest("/rows.json", "said", human="gpt"))
    assert (len(judged), skipped) == (11, [])
    told = agreement(judged, [5.0 * n for n in range(11)])
    assert told is not None and told.n == 9
    assert told.calibrated_mean == pytest.approx(50.0), "the last two are 90 and 100 on the line"
    with pytest.raises(BadRequest, match="no row has a score `other`"):
        read_judged(rows, JudgeRequest("/rows.json", "said", human="other"))


def test_another_s_scores_in_a_file_of_their_own(tmp_path: Path) -> None:
    rows = [Row(n, {"question": "Why?", "said": "so"}) for n in range(1, 4)]
    request = JudgeRequest("/rows.json", "said", human="gpt", human_path="/scores.json", limit=2)
    judged, skipped = read_judged(rows, request, [50, "many", 7])
    assert ([one.human for one in judged], [one.row for one in skipped]) == ([50.0], [2])
    shapes = {
        "lists.json": json.dumps({"gpt": [1, 2, None], "llama": [1, 2]}),
        "list.json": "[1, 2, null]",
        "rows.json": json.dumps([{"gpt": 1, "n": 1}, {"gpt": 2, "n": 2}, {"gpt": None, "n": 3}]),
        "rows.jsonl": '{"gpt": 1}\n{"gpt": 2}\n{"gpt": null}\n',
    }
    for name, text in shapes.items():
        (tmp_path / name).write_text(text)
        assert read_scores(tmp_path / name, "" if name == "list.json" else "gpt", 3) == [1, 2, None]
    assert read_scores(tmp_path / "rows.jsonl", "", 3) == [1, 2, None], "there is but one"
    for name, field, why in (
        ("lists.json", "llama", "2 scores for 3 rows"),
        ("lists.json", "", "more than one list"),
        ("lists.json", "claude", "no 'claude'"),
    ):
        with pytest.raises(BadRequest, match=why):
            read_scores(tmp_path / name, field, 3)
    with pytest.raises(NotFound):
        read_scores(tmp_path / "none.json", "", 3)


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
