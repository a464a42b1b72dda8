"""`lorebook jobs` over a served daemon: measurements, indexing and pulls stand beside the jobs in the line."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lorebook_api.arena import ArenaJudgeRequest
from lorebook_api.client import Client
from lorebook_api.discovery import connect
from lorebook_api.errors import Cancelled, LorebookError
from lorebook_api.evaluation import McRequest
from lorebook_api.home import Home
from lorebook_api.indexing import IndexRequest
from lorebook_api.sides import parse_side
from lorebook_daemon.evaluate.store import Begun
from typed_evaluation import Typing, rows

SLOW_S = 0.5
"""Before each answer: forty then take longer than what cancels them waits for them on a busy machine."""


@pytest.fixture
def quiz(tmp_path: Path) -> Path:
    path = tmp_path / "quiz.csv"
    path.write_text("question,a,b,answer\n" + "".join(f"Is number {n} ice?,ice,fire,a\n" for n in range(40)))
    return path


def jobs(typing: Typing, *words: str) -> Any:
    result = typing.line("jobs", *words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def going(typing: Typing, kind: str, told: str = "") -> dict[str, Any]:
    """Return the work of a kind that is in hand, as soon as it has told how far it is, or `told` of it."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        for job in jobs(typing, "list")["jobs"]:
            if job["kind"] == kind and job["state"] == "running" and job["reason"] and told in job["reason"]:
                return job
    raise AssertionError(f"no {kind} is in hand")


@contextlib.contextmanager
def beside(work: Callable[[Client], Any], home: Home) -> Iterator[list[LorebookError]]:
    """Do work over HTTP in a thread for the block: two command lines in one process would share their output."""
    failed = list[LorebookError]()

    def do() -> None:
        try:
            work(Client(connect(home, start=False)))
        except LorebookError as error:
            failed.append(error)

    thread = threading.Thread(target=do)
    thread.start()
    yield failed
    thread.join()


def test_a_measurement_is_a_job_that_can_be_cancelled_and_gone_on_with(typing: Typing, quiz: Path, home: Home) -> None:
    typing.bench.engine._pause_s = SLOW_S
    with beside(lambda client: list(client.evaluate_choices(McRequest(str(quiz), "csv"))), home) as failed:
        job = going(typing, "eval")
        assert job["name"] == "mc quiz.csv" and " of 40" in job["reason"]
        assert jobs(typing, "cancel", job["id"])["state"] == "cancelled"
    assert isinstance(failed[0], Cancelled)
    typing.bench.engine._pause_s = 0.0
    resumed = typing.line("jobs", "resume", job["id"])
    assert resumed.exit_code == 0, resumed.output
    assert "eval mc quiz.csv is done." in resumed.stdout and "acc 1" in resumed.stdout
    done = jobs(typing, "show", job["id"])
    assert (done["state"], done["result"]["acc"], done["result"]["n"]) == ("done", 1.0, 40)
    shown = typing.line("jobs", "show", job["id"]).stdout
    assert "eval mc quiz.csv: done" in shown and "acc 1" in shown
    assert typing.line("jobs", "cancel", job["id"]).exit_code == 1
    assert typing.line("jobs", "resume", job["id"]).exit_code == 1
    assert "eval show" in typing.line("jobs", "logs", job["id"]).stderr


def test_a_measurement_is_watched_until_its_end(typing: Typing, quiz: Path, home: Home) -> None:
    typing.bench.engine._pause_s = SLOW_S
    with beside(lambda client: list(client.evaluate_choices(McRequest(str(quiz), "csv"))), home):
        job = going(typing, "eval")
        typing.bench.engine._pause_s = 0.05
        shown = typing.line("jobs", "show", job["id"]).stdout.splitlines()
    assert shown[0].startswith("eval mc quiz.csv: running") and shown[1] == "eval mc quiz.csv: done"


def test_one_that_was_cancelled_is_gone_on_with_by_its_command_too(typing: Typing, quiz: Path, home: Home) -> None:
    typing.bench.engine._pause_s = SLOW_S
    with beside(lambda client: list(client.evaluate_choices(McRequest(str(quiz), "csv"))), home):
        job = jobs(typing, "cancel", going(typing, "eval")["id"])
    typing.bench.engine._pause_s = 0.0
    assert typing.json("mc", quiz)["run"] == job["id"]


def test_a_judge_s_votes_are_gone_on_with_by_their_command(typing: Typing, tmp_path: Path, home: Home) -> None:
    prompts = rows(tmp_path / "prompts.jsonl", *({"question": f"Is it {n}?"} for n in range(6)))
    typing.bench.engine._pause_s = SLOW_S
    sides = (parse_side("auto"), parse_side("temperature=1"))
    with beside(lambda client: list(client.judge_arena(ArenaJudgeRequest(str(prompts), sides))), home):
        job = going(typing, "eval", "answering 2 of 12")
        assert job["name"] == "arena prompts.jsonl"
        jobs(typing, "cancel", job["id"])
    typing.bench.engine._pause_s = 0.0
    told = typing.json("arena", "judge", prompts, "--b", "temperature=1")
    assert (told["run"], told["votes"], told["standings"]["votes"]) == (job["id"], 6, 6)
    assert len(typing.bench.engine.prompts) <= 12 + 1, "but for the answer that was in hand"


def test_a_measurement_that_cannot_be_resumed_says_why(typing: Typing, quiz: Path, home: Home) -> None:
    typing.bench.engine._pause_s = SLOW_S
    with beside(lambda client: list(client.evaluate_choices(McRequest(str(quiz), "csv"))), home):
        job = jobs(typing, "cancel", going(typing, "eval")["id"])
    quiz.write_text(quiz.read_text() + "Is sand ice?,ice,fire,b\n")
    resumed = typing.line("jobs", "resume", job["id"])
    assert resumed.exit_code == 1 and "what changed: data" in resumed.stderr


def test_indexing_and_pulls_are_jobs_while_they_last(typing: Typing, notes: Path, home: Home) -> None:
    bench = typing.bench
    bench.indexes.may_read.clear()
    with beside(lambda client: list(client.index(IndexRequest((str(notes),)))), home) as failed:
        job = going(typing, "index")
        assert job["name"] == str(notes) and job["reason"] == "reading files 0 of 1"
        assert jobs(typing, "cancel", job["id"])["state"] == "cancelled"
    assert failed and bench.indexes.ended_early == 1, "nobody else waited for it"
    bench.indexes.may_read.set()
    assert typing.line("models", "pull", "tiny").exit_code == 0
    assert typing.line("models", "pull", "missing").exit_code == 1
    pulled = {job["name"]: job["state"] for job in jobs(typing, "list")["jobs"] if job["kind"] == "pull"}
    assert pulled == {"tiny": "done", "missing": "failed"}


def test_a_measurement_of_an_earlier_daemon_is_listed(typing: Typing) -> None:
    run = typing.bench.parts.evaluations.runs.begin(Begun("mc", "quiz.csv", {}))
    (job,) = jobs(typing, "list")["jobs"]
    assert (job["id"], job["state"], job["name"]) == (run, "interrupted", "mc quiz.csv")
    assert "Type its command again" in typing.line("jobs", "resume", run).stderr
    assert typing.line("jobs", "cancel", run).exit_code == 1
    assert typing.line("jobs", "show", "nothing").exit_code == 1
