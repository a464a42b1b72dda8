"""What a run of all benchmarks passes over is said, with what is wanted."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import NAMES, ON_REQUEST
from benchmarks.wants import WANTS, Want, packages, passed_over, runs


@pytest.fixture(autouse=True)
def nothing_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BENCH", "JUDGE_DATA", "INSTRUCTIONS", "PREFERENCES", "LM_EVAL"):
        monkeypatch.delenv(f"LOREBOOK_{name}", raising=False)


def test_everything_that_wants_something_is_run_by_default() -> None:
    assert set(WANTS) <= set(NAMES) and {"choices", "teach_packed"} <= set(NAMES)
    assert not set(NAMES) & set(ON_REQUEST)


def test_a_variable_that_names_nothing_passes_a_benchmark_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not runs("judging") and not runs("choices")
    (told,) = passed_over(["judging"])
    assert told == "judging: LOREBOOK_JUDGE_DATA is to name a folder with judge-100.json and judge-100-scores.json"
    monkeypatch.setenv("LOREBOOK_JUDGE_DATA", str(tmp_path / "gone"))
    assert not runs("judging") and "gone is not there" in passed_over(["judging"])[0]
    monkeypatch.setenv("LOREBOOK_JUDGE_DATA", str(tmp_path))
    monkeypatch.setenv("LOREBOOK_LM_EVAL", sys.executable)
    assert runs("judging") and runs("choices") and passed_over(["judging", "choices"]) == []


def test_what_is_left_out_of_a_benchmark_that_runs_is_said() -> None:
    assert runs("retrieval")
    assert passed_over(["retrieval", "freshness"])[0].startswith("retrieval (the questions about code): LOREBOOK_BENCH")
    want: Want = packages(("json", "no_such_package"), "bring it", "a part")
    assert want.lacking() == "no_such_package: bring it"
