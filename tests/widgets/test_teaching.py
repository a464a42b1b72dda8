"""`lorebook.teach`, `%teach` and `%%teach`: what is asked of the daemon, and the Job that comes back."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

import lorebook
from fake_daemon import JOB, TAUGHT, FakeDaemon
from lorebook.job import Job
from lorebook.teachmagic import cell_request, line_request
from lorebook_api.errors import BadRequest, LorebookError, NotFound
from lorebook_api.indexing import Progress
from lorebook_api.teaching import ESTIMATED, Metrics, Pair

PAIR = "Who wrote it?\n\nAnna did."


def asked(fake: FakeDaemon) -> dict[str, Any]:
    (call,) = fake.of("/api/teach")
    return dict(call.body)


# -- the function


def test_teaching_returns_a_job_that_was_watched_to_its_end(fake: FakeDaemon, notebook: Path) -> None:
    job = lorebook.teach(notebook, cells="2,5-7", name="lab", rank=4, targets="q")
    assert isinstance(job, lorebook.Job) and job.state == "done" and job.adapter == "clean"
    body = asked(fake)
    assert body["notebooks"] == [str(notebook)] and body["cells"] == "2,5-7"
    assert body["settings"]["rank"] == 4 and body["settings"]["targets"] == ["q"]
    assert job.result.status == "active" and job.result.held_out_loss == 0.6
    assert [one.step for one in job.seen.metrics] == [1, 2, 4]
    shown = job._repr_mimebundle_()
    assert "It drops rows." in shown["text/plain"] and "0.400" in shown["text/plain"] and "text/markdown" in shown


def test_the_module_does_not_stand_before_the_function(fake: FakeDaemon) -> None:
    assert callable(lorebook.teach) and lorebook.teach.__name__ == "teach"
    assert lorebook.Job is Job


def test_pairs_are_taught_without_a_file(fake: FakeDaemon) -> None:
    lorebook.teach(pairs={"Who?": "Anna."}, wait=False)
    assert asked(fake)["pairs"] == [asdict(Pair("Who?", "Anna."))]
    assert not fake.of("/api/jobs/j1/events")


def test_a_job_is_ended_and_gone_on_with(fake: FakeDaemon) -> None:
    job = lorebook.teach(pairs=[("Who?", "Anna.")], wait=False)
    assert job.state == "running"
    assert job.cancel().state == "cancelled" and job.result.status == "cancelled"
    assert job.resume().state == "done"
    assert job.refresh().info == TAUGHT


def test_what_is_not_there_is_told_before_the_daemon_is_asked(fake: FakeDaemon, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"none\.ipynb"):
        lorebook.teach(tmp_path / "none.ipynb")
    with pytest.raises(BadRequest, match="ranks is no setting"):
        lorebook.teach(pairs=[("q", "a")], ranks=3)
    assert not fake.of("/api/teach")


def test_a_job_that_failed_says_why(fake: FakeDaemon) -> None:
    job = lorebook.teach(pairs=[("q", "a")], wait=False)
    job.info = type(JOB)(**{**asdict(JOB), "state": "failed", "reason": "The disk is full."})
    assert "The disk is full." in repr(job) and job.result.status == "failed"


def test_a_job_says_what_was_left_out(fake: FakeDaemon) -> None:
    job = lorebook.teach(pairs=[("q", "a")], wait=False)
    job.info = replace(TAUGHT, result={**TAUGHT.result, "left_out": {"secret": 2, "no answer": 1}})
    assert job.headline == "teach clean: done, active. Left out: 3 (2 secret, 1 no answer)."


def test_a_job_shows_what_it_does_before_its_first_step(fake: FakeDaemon) -> None:
    job = lorebook.teach(pairs=[("q", "a")], wait=False)
    job.seen.take(Progress("starting torch"))
    assert "starting torch" in repr(job)


def test_a_job_shows_what_it_will_take_until_its_first_step_and_how_much_is_right(fake: FakeDaemon) -> None:
    job = lorebook.teach(pairs=[("q", "a")], wait=False)
    for told in (f"{ESTIMATED}40 steps", "starting torch"):
        job.seen.take(Progress(told))
        assert repr(job).count("40 steps") == 1 and told in repr(job)
    job.seen.take(Metrics(1, 40, 0.7, 0.7, accuracy=0.5))
    job.seen.take(Metrics(2, 40, 0.6, 0.6, accuracy=0.75))
    assert "accuracy  ▆█ 0.750" in repr(job) and "estimated" not in repr(job)


# -- the magics


def test_a_cell_that_teaches_says_where_its_pairs_stand() -> None:
    request = cell_request(
        "--name lab --replace --method lora --rank 4 --targets q,up",
        f"{PAIR}\n---\nWhen?\n\nIn May.",
        "c3",
        "/w/lab.ipynb",
    )
    assert request.pairs == (
        Pair("Who wrote it?", "Anna did.", "c3", "/w/lab.ipynb"),
        Pair("When?", "In May.", "c3", "/w/lab.ipynb"),
    )
    assert (request.name, request.method, request.settings.rank, request.replace) == ("lab", "lora", 4, True)
    assert request.settings.targets == ("q", "up")


def test_a_line_takes_cells_of_this_notebook_or_of_another(notebook: Path, tmp_path: Path) -> None:
    here = line_request("--cells 2,5-7 --tag keep --tag more --id c3 --name lab", "/w/this.ipynb")
    assert here.notebooks == ("/w/this.ipynb",) and here.cells == "2,5-7"
    assert here.tags == ("keep", "more") and here.ids == ("c3",) and not here.whole
    other = line_request(f"'{notebook}' --all --recipe explain", "/w/this.ipynb")
    assert other.notebooks == (str(notebook),) and other.whole and other.recipe == "explain"
    (tmp_path / "a.jsonl").write_text("{}")
    approved = line_request("--approved --name mine")
    assert approved.approved and not approved.notebooks
    data = line_request(f"--data '{tmp_path / 'a.jsonl'}'", "/w/this.ipynb")
    assert data.data == (str(tmp_path / "a.jsonl"),) and data.notebooks == ()


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("", "no answer here"),
        ("", ""),
        ("--rank two", PAIR),
        ("--name", PAIR),
        ("--magic 3", PAIR),
        ("lab", PAIR),
        ("'", PAIR),
    ],
)
def test_a_cell_that_cannot_be_taught_is_told(line: str, text: str) -> None:
    with pytest.raises(BadRequest) as refused:
        cell_request(line, text)
    assert refused.value.hint


def test_a_line_that_names_no_notebook_where_none_is_known_is_told() -> None:
    with pytest.raises(LorebookError, match="which notebook"):
        line_request("--cells 2")
