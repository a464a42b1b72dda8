"""`lorebook jobs` over a served daemon: measurements, indexing and pulls stand beside the jobs in the line."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from typed_evaluation import Typing


@pytest.fixture
def quiz(tmp_path: Path) -> Path:
    path = tmp_path / "quiz.csv"
    path.write_text("question,a,b,answer\n" + "".join(f"Is number {n} ice?,ice,fire,a\n" for n in range(40)))
    return path


def jobs(typing: Typing, *words: str) -> Any:
    result = typing.line("jobs", *words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def going(typing: Typing, kind: str) -> dict[str, Any]:
    """Return the work of a kind that is in hand, as soon as it has told how far it is."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        for job in jobs(typing, "list")["jobs"]:
            if job["kind"] == kind and job["state"] == "running" and job["reason"]:
                return job
    raise AssertionError(f"no {kind} is in hand")


def test_a_measurement_is_a_job_that_can_be_cancelled_and_gone_on_with(typing: Typing, quiz: Path) -> None:
    typing.bench.engine._pause_s = 0.1
    results = list[Result]()
    measuring = threading.Thread(target=lambda: results.append(typing("mc", quiz)))
    measuring.start()
    job = going(typing, "eval")
    assert job["name"] == "mc quiz.csv" and " of 40" in job["reason"]
    assert jobs(typing, "cancel", job["id"])["state"] == "cancelled"
    measuring.join()
    assert results[0].exit_code == 1
    resumed = typing.line("jobs", "resume", job["id"])
    assert resumed.exit_code == 1 and "Type its command again" in resumed.stderr
    typing.bench.engine._pause_s = 0.0
    assert typing.json("mc", quiz)["run"] == job["id"]
    done = jobs(typing, "show", job["id"])
    assert (done["state"], done["result"]["acc"], done["result"]["n"]) == ("done", 1.0, 40)
    shown = typing.line("jobs", "show", job["id"]).stdout
    assert "eval mc quiz.csv: done" in shown and "acc 1" in shown
    assert typing.line("jobs", "cancel", job["id"]).exit_code == 1
    assert "eval show" in typing.line("jobs", "logs", job["id"]).stderr


def test_indexing_and_pulls_are_jobs_while_they_last(typing: Typing, notes: Path) -> None:
    bench = typing.bench
    bench.indexes.may_read.clear()
    indexing = threading.Thread(target=lambda: typing.line("index", notes))
    indexing.start()
    job = going(typing, "index")
    assert job["name"] == str(notes) and job["reason"] == "reading files 0 of 1"
    assert jobs(typing, "cancel", job["id"])["state"] == "cancelled"
    indexing.join()
    assert bench.indexes.ended_early == 1, "nobody else waited for it"
    bench.indexes.may_read.set()
    assert typing.line("models", "pull", "tiny").exit_code == 0
    pulled = next(job for job in jobs(typing, "list")["jobs"] if job["kind"] == "pull")
    assert (pulled["name"], pulled["state"]) == ("tiny", "done")
    assert typing.line("models", "pull", "missing").exit_code == 1
    failed = jobs(typing, "list")["jobs"]
    assert any(job["name"] == "missing" and job["state"] == "failed" for job in failed)


def test_what_was_interrupted_before_the_daemon_knew_it_is_listed(typing: Typing, quiz: Path) -> None:
    typing.json("mc", quiz)
    (run,) = typing.bench.parts.evaluations.runs.all()
    assert [job["id"] for job in jobs(typing, "list")["jobs"]] == [run.id]
    assert typing.line("jobs", "resume", run.id).exit_code == 1
    assert typing.line("jobs", "show", "nothing").exit_code == 1
