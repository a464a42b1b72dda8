"""Metrics: one function and one line in the dict of a task is all that it takes to add one."""

from __future__ import annotations

import asyncio

import pytest

from fakes import FakeEngine
from lorebook_api.asking import Answer
from lorebook_api.evaluation import EvalRun, Figure
from lorebook_daemon.evaluate import exact, rag
from lorebook_daemon.evaluate.comparing import compare
from lorebook_daemon.evaluate.metric import Metric
from lorebook_daemon.evaluate.metrics import METRICS, better, says
from lorebook_daemon.evaluate.page import page
from lorebook_daemon.evaluate.rag import Asked, Question, RagTask, rag_figures
from lorebook_daemon.evaluate.rows import Row
from lorebook_daemon.evaluate.task import Measured, Subject, Task, run_task


def measured(task: Task) -> Measured:
    subject = Subject(FakeEngine())
    return asyncio.run(run_task(task, subject, lambda progress: None, {}, lambda name, outcome: None))


def answers(*said: str) -> Measured:
    """Measure answers of which `yes` is the right one."""
    rows = [Row(n, {"question": "?", "answer": "yes", "said": text}) for n, text in enumerate(said, 1)]
    return measured(exact.ExactTask(exact.read_asked(rows, "text", "said")[0], "text", 64))


def kept(name: str, found: Measured) -> EvalRun:
    return EvalRun(name, "exact", "q.csv", "done", "", "", {}, {}, found.figures(), len(found.outcomes))


def test_every_metric_says_what_it_is_and_the_same_in_each_dict() -> None:
    assert all(metric.says for metric in METRICS.values())
    for name, metric in METRICS.items():
        told = {(known[name].says, known[name].better) for known in METRICS.maps if name in known}
        assert told == {(metric.says, metric.better)}


def test_a_metric_added_to_a_dict_is_measured_reported_and_fails_a_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    added = Metric[exact.Answered, float](lambda one: float(len(one.text)), "characters of the answer", "lower")
    monkeypatch.setitem(exact.FORMATS["text"].metrics, "characters", added)
    short, long = answers(*["yes"] * 20), answers(*["yes."] * 20)
    assert short.outcomes["1"].scores == {"exact": 1.0, "contains": 1.0, "f1": 1.0, "characters": 3.0}
    assert list(short.figures()) == ["exact", "contains", "f1", "characters"]
    told = compare(kept("first", short), kept("second", long), short.outcomes, long.outcomes)
    assert told.worse == ("characters",) and told.failures == ("second is worse than first: characters.",)
    assert "characters of the answer" in page([told.first, told.second], [told])


def test_a_metric_may_apply_to_some_items_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    of_long = Metric[exact.Answered, float](lambda one: 1.0 if len(one.text) > 3 else None, "share of long answers")
    monkeypatch.setitem(exact.FORMATS["text"].metrics, "long", of_long)
    found = answers("yes", "yes, I believe")
    assert found.figures()["long"] == Figure(1.0, 1.0, 1.0, 1) and found.figures()["exact"].n == 2


def test_a_metric_of_the_whole_set_is_added_in_the_same_way(monkeypatch: pytest.MonkeyPatch) -> None:
    many = Metric[rag.Known, Figure](lambda known: Figure(len(known), 0, 0, len(known)), "questions", "neither")
    monkeypatch.setitem(rag.OVER_ALL, "questions", many)
    asked = [Question(n, str(n), "?", n > 1, (), ()) for n in (1, 2)]

    async def ask(question: str) -> Asked:
        return Asked((), Answer("No.", True, 0.0, (), (), (), "fake"))

    figures = rag_figures(asked, measured(RagTask(asked, ask)))
    assert figures["questions"].value == 2 and figures["abstention_f1"].value == pytest.approx(2 / 3)
    assert better("questions") == "neither"


def test_a_figure_of_an_older_version_can_be_read() -> None:
    assert (says("perplexity"), better("perplexity")) == ("", "higher")
