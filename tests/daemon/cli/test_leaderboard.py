"""The leaderboard: the best first, what is missing last, each remark once, nothing measured twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lorebook_api.errors import BadRequest
from lorebook_api.evaluation import EvalReport, Figure
from lorebook_daemon.cli.evalrag import ranked
from lorebook_daemon.cli.measuring import flat
from typed_evaluation import QUESTIONS, Typing, rows


def report(**figures: float) -> EvalReport:
    known = {name: Figure(value, value, value, 3) for name, value in figures.items()}
    return EvalReport("aaaa", "rag", "q.jsonl", known, 3, "tiny", ())


def test_the_best_is_first_and_what_was_not_measured_last() -> None:
    reports = {"none": report(), "low": report(groundedness=0.2), "high": report(groundedness=0.8)}
    assert ranked(reports, "groundedness") == ["high", "low", "none"]
    with pytest.raises(BadRequest, match="no figure 'beauty'"):
        ranked(reports, "beauty")


@pytest.mark.parametrize("cost", ["latency_ms", "tokens"])
def test_of_a_cost_less_is_better(cost: str) -> None:
    assert ranked({"dear": report(**{cost: 900}), "cheap": report(**{cost: 80})}, cost) == ["cheap", "dear"]


def test_the_promised_keys_are_always_there() -> None:
    told = flat(report(latency_ms=5))
    assert (told["latency_ms"], told["ndcg10"], told["groundedness"], told["n"]) == (5, None, None, 3)
    assert "ndcg10" not in flat(EvalReport("aaaa", "bias", "b.jsonl", {}, 1, "tiny", ()))


def test_where_no_place_is_known_the_figure_is_null(typing: Typing, notes: Path, tmp_path: Path) -> None:
    told = typing.json("rag", rows(tmp_path / "q.jsonl", {"question": "what was the rate"}), "--root", notes)
    for name in ("context_relevance", "groundedness", "answer_relevance", "latency_ms", "n"):
        assert told[name] is not None, name
    assert told["ndcg10"] is None


def test_models_and_adapters_are_axes(typing: Typing, notes: Path, tmp_path: Path) -> None:
    data = rows(tmp_path / "q.jsonl", *QUESTIONS[:3])
    words = ("leaderboard", data, "--root", notes, "--with", "adapter=lab-notes:0.5", "--with", "model=other")
    told = {row["configuration"]: row for row in typing.json(*words)["leaderboard"]}
    assert told["adapter=lab-notes:0.5"]["adapters"] == [{"name": "lab-notes", "scale": 0.5}]
    assert (told["model=other"]["model"], told["default"]["model"]) == ("other", "tiny")
    assert {call.adapters for call in typing.bench.engine.calls if call.what == "judge"} == {()}
    shown = typing(*words).stdout
    assert "adapter=lab-notes:0.5: What lab-notes was taught is not known here" in " ".join(shown.split())
    assert "not known whether lab-notes was taught" in " ".join(typing("list").stdout.split())


def test_what_was_finished_is_not_measured_again(typing: Typing, notes: Path, tmp_path: Path) -> None:
    data = rows(tmp_path / "q.jsonl", *QUESTIONS[:3])
    words = ("leaderboard", data, "--root", notes, "--with", "k=2")

    def runs(*more: str) -> dict[str, Any]:
        return {row["configuration"]: row for row in typing.json(*words, *more)["leaderboard"]}

    first = typing.json("rag", data, "--root", notes)
    asked = len(typing.bench.engine.calls)
    told = runs()
    assert told["default"]["run"] == first["run"] and "not again" in told["default"]["notices"][0]
    assert told["k=2"]["run"] != first["run"] and len(typing.bench.engine.calls) > asked
    asked = len(typing.bench.engine.calls)
    assert runs()["k=2"]["run"] == told["k=2"]["run"] and len(typing.bench.engine.calls) == asked
    assert runs("--anew")["k=2"]["run"] != told["k=2"]["run"]
    (notes / "a.txt").write_text("the rate was 43 percent")
    assert runs()["default"]["run"] not in (first["run"], told["default"]["run"]), "other files are another question"


def test_the_configuration_tells_what_found_the_passages(typing: Typing, notes: Path, tmp_path: Path) -> None:
    data = rows(tmp_path / "q.jsonl", *QUESTIONS[:1])
    config = typing.json("show", typing.json("rag", data, "--root", notes)["run"])["config"]
    assert (config["embedder"], config["retrieval"], config["cross_encoder"]) == ("hash", "hybrid", "")
    prompts = rows(tmp_path / "p.jsonl", {"prompt": "Say it."})
    assert typing.json("show", typing.json("diversity", prompts)["run"])["config"]["embedder"] == "hash"


def test_putting_a_question_in_other_words_takes_time_that_counts(typing: Typing, notes: Path, tmp_path: Path) -> None:
    typing.bench.engine._pause_s = 0.01
    data = rows(tmp_path / "q.jsonl", *QUESTIONS[:1])
    told = typing.json("leaderboard", data, "--root", notes, "--with", "rewrite=hyde", "--by", "latency_ms")
    latency = {row["configuration"]: row["latency_ms"] for row in told["leaderboard"]}
    assert latency["rewrite=hyde"] > 10 > latency["default"], "the fake's own clock stands at 0"
    assert [row["configuration"] for row in told["leaderboard"]] == ["default", "rewrite=hyde"]
