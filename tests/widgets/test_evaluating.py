"""`lorebook.evaluate`: the leaderboard, a measurement, two runs compared; as a widget and as text."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

import lorebook
from fake_daemon import FakeDaemon
from fake_page import click, eventually, values
from lorebook.evaluating import grouped
from lorebook.measures import MEASURES, measurement
from lorebook_api.asking import AdapterUse
from lorebook_api.errors import BadRequest, Conflict, NotFound
from lorebook_api.evaluation import (
    Compared,
    Comparison,
    EvalReport,
    EvalRun,
    Figure,
    JudgeRequest,
    RagRequest,
    Skipped,
)
from lorebook_api.indexing import Progress

RUN = EvalRun(
    id="aaaa1111",
    kind="rag",
    name="questions.jsonl",
    state="done",
    created="2030-01-01T00:00:00+00:00",
    ended="2030-01-01T00:01:00+00:00",
    config={"model": "echo-1b", "k": 6, "adapters": []},
    versions={},
    figures={"right": Figure(0.5, 0.4, 0.6, 40), "latency_ms": Figure(812.0, 700.0, 900.0, 40)},
    n=40,
    skipped=(Skipped(3, "empty"),),
)
WIDER = replace(RUN, id="bbbb2222", config={**RUN.config, "k": 12}, figures={"right": Figure(0.7, 0.6, 0.8, 40)})
CHOICE = replace(RUN, id="cccc3333", kind="mc", name="mmlu.csv", figures={"acc": Figure(0.3, 0.2, 0.4, 9)})
BETTER = Compared("right", 0.5, 0.7, Figure(0.2, 0.05, 0.35, 40), "better")
REPORT = EvalReport("bbbb2222", "rag", "questions.jsonl", {}, 40, "echo-1b", ())


@pytest.fixture
def fake(fake: FakeDaemon) -> FakeDaemon:
    unfinished = replace(RUN, id="dddd4444", state="unfinished")
    keep(fake, unfinished, WIDER, CHOICE, RUN)
    fake.scripts.replies["/api/eval/compare"] = asdict(Comparison(RUN, WIDER, (BETTER,), ("k: 6, then 12",)))
    return fake


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    path = tmp_path / "questions.jsonl"
    path.write_text("{}")
    return path


def keep(daemon: FakeDaemon, *runs: EvalRun) -> None:
    daemon.scripts.replies["/api/eval/runs"] = {"runs": [asdict(run) for run in runs]}


def test_runs_stand_beside_those_that_measured_the_same(fake: FakeDaemon) -> None:
    view = lorebook.evaluate()
    assert isinstance(view, lorebook.EvaluateView) and view.runs == (WIDER, CHOICE, RUN)
    rag, choice = values(view)["groups"]
    assert (rag["name"], rag["figures"]) == ("rag questions.jsonl", ["right", "latency_ms"])
    assert [(row["label"], row["id"]) for row in rag["rows"]] == [("k 12", "bbbb2222"), ("k 6", "aaaa1111")]
    assert rag["rows"][0]["figures"]["right"] == {"value": 0.7, "low": 0.6, "high": 0.8, "n": 40}
    assert rag["rows"][1]["notes"] == ["1 left out"] and choice["rows"][0]["label"] == "echo-1b"
    assert "k 6: right 0.5 [0.4, 0.6], latency_ms 812 [700, 900] (40 items, aaaa1111)" in repr(view)
    table = view.bundle()["text/markdown"]
    assert table.count("|---") == 4 + 3 and "k 12" in table and "–" in table


def test_two_runs_are_compared(fake: FakeDaemon) -> None:
    view = lorebook.evaluate()
    found = view.compare("aaaa", "bbbb")
    assert found.figures == (BETTER,) and "first=aaaa&second=bbbb" in fake.calls[-1].path
    click(view, 1, type="compare", first="aaaa1111", second="bbbb2222")
    eventually(lambda: "first=aaaa1111" in fake.calls[-1].path)
    told = values(view)["comparison"]
    assert (told["first"], told["second"], told["changed"]) == ("aaaa1111", "bbbb2222", ["k: 6, then 12"])
    assert told["figures"][0]["verdict"] == "better" and told["figures"][0]["difference"]["low"] == 0.05


def test_something_is_measured_and_then_stands_in_the_table(fake: FakeDaemon, questions: Path, tmp_path: Path) -> None:
    keep(fake)
    progress = ("progress", asdict(Progress("questions", 3, 40)))
    fake.scripts.replies["/api/eval/rag"] = [progress, 0.2, ("done", asdict(REPORT))]
    view = lorebook.evaluate(questions, "rag", root=tmp_path, k=12, adapter="lab-notes:0.5")
    eventually(lambda: "questions 3 of 40" in values(view)["told"] and values(view)["measuring"])
    with pytest.raises(Conflict):
        view.measure(RagRequest(str(questions), (str(tmp_path),)))
    keep(fake, WIDER)
    view.wait()
    assert view.runs == (WIDER,) and values(view)["measuring"] is False
    sent = fake.of("/api/eval/rag")[0].body
    assert (sent["path"], sent["roots"], sent["k"]) == (str(questions), [str(tmp_path)], 12)
    assert sent["adapters"] == [{"name": "lab-notes", "scale": 0.5}]


def test_a_measurement_is_ended_from_a_page(fake: FakeDaemon, questions: Path) -> None:
    progress = ("progress", asdict(Progress("questions", 3, 40)))
    fake.scripts.replies["/api/eval/mc"] = [progress, *([0.05, progress] * 100)]
    view = lorebook.evaluate(questions, format="csv")
    eventually(lambda: values(view)["measuring"])
    click(view, 1, type="stop")
    view.wait()
    assert values(view)["measuring"] is False and values(view)["groups"]


def test_what_goes_wrong_is_told_on_the_page(fake: FakeDaemon, questions: Path) -> None:
    view = lorebook.evaluate()
    heard: list[dict[str, Any]] = []
    view.channel._send = heard.append
    fake.scripts.error = BadRequest("The file has no column 'question'.", "Name it.")
    view.measure(measurement("exact", questions, {})).wait()
    click(view, 1, type="sing")
    notices = [one["message"]["failure"] for one in heard if one.get("message", {}).get("type") == "notice"]
    assert "'sing'" in notices[0]["message"]
    assert repr(view).startswith("The file has no column 'question'. Name it.")
    assert values(view)["measuring"] is False


def test_where_nothing_was_measured_it_says_how_to_begin(fake: FakeDaemon) -> None:
    keep(fake)
    view = lorebook.evaluate()
    assert "lorebook.evaluate(" in repr(view) and values(view)["told"] == repr(view)
    assert "lorebook" in view.bundle()["text/markdown"]


@pytest.mark.parametrize(
    ("kind", "choices", "told"),
    [
        ("sing", {}, "nothing that can be measured"),
        ("mc", {}, "mc wants format"),
        ("judge", {}, "judge wants response"),
        ("toxicity", {"response": "said", "reference": "output"}, "reference is nothing that toxicity takes"),
        ("rag", {"songs": 3}, "songs is nothing that rag takes"),
        ("exact", {"path": "/etc/passwd"}, "path is nothing that exact takes"),
        ("mc", {"format": "csv", "adapter": "a:much"}, "'a:much'"),
    ],
)
def test_what_cannot_be_meant_is_said_at_once(questions: Path, kind: str, choices: dict[str, Any], told: str) -> None:
    with pytest.raises(BadRequest, match=told):
        measurement(kind, questions, choices)


def test_arguments_become_a_request_of_each_kind(questions: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    needed = {"mc": {"format": "mmlu"}, "judge": {"response": "said"}, "toxicity": {"response": "said"}}
    for kind, request in MEASURES.items():
        made = measurement(kind, questions, {**needed.get(kind, {}), "model": "echo-1b", "limit": 5})
        assert isinstance(made, request) and (made.path, made.limit) == (str(questions), 5)
    made = measurement("toxicity", questions, {"response": "said"})
    assert made == JudgeRequest(str(questions), "said", measure="toxicity")
    made = measurement("judge", questions, {"response": "said", "human": "questions.jsonl:gpt"})
    assert made == JudgeRequest(str(questions), "said", human="gpt", human_path=str(questions))
    assert measurement("judge", questions, {"response": "said", "human": "gpt"}).human == "gpt"
    made = measurement("rag", questions, {"adapter": ["a", "b:2"]})
    assert isinstance(made, RagRequest) and made.roots == (str(tmp_path),)
    assert made.adapters == (AdapterUse("a"), AdapterUse("b", 2.0))
    with pytest.raises(NotFound):
        measurement("rag", tmp_path / "none", {})


def test_groups_keep_the_order_of_their_runs() -> None:
    assert list(grouped([CHOICE, RUN, WIDER])) == ["mc mmlu.csv", "rag questions.jsonl"]
    assert grouped([]) == {}
