"""`lorebook teach --sweep` and `lorebook classify`, against a daemon that says what it is told to."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from commandline import Run
from fake_daemon import ADAPTER, JOB, FakeDaemon
from lorebook_api.client import Client
from lorebook_api.errors import BadRequest, Conflict
from lorebook_api.teaching import JobInfo, TeachRequest
from lorebook_daemon.cli.screen import Screen
from lorebook_daemon.cli.sweep import sweep


@pytest.fixture
def data(folder: Path) -> Path:
    path = folder / "rows.jsonl"
    path.write_text(json.dumps({"question": "Who?", "answer": "Anna."}))
    return path


def test_every_point_of_the_grid_is_a_job_and_a_row(run: Run, fake: FakeDaemon, data: Path) -> None:
    result = run("teach", "--data", "rows.jsonl", "--name", "lab", "--sweep", "rank=1,4", "targets=q|qv")
    assert result.exit_code == 0, result.stderr
    bodies = [call.body for call in fake.of("/api/teach")]
    assert [(one["settings"]["rank"], one["settings"]["targets"]) for one in bodies] == [
        *((1, ["q"]), (1, ["q", "v"]), (4, ["q"]), (4, ["q", "v"])),
    ]
    assert [one["name"] for one in bodies] == ["lab-r1-q", "lab-r1-qv", "lab-r4-q", "lab-r4-qv"]
    assert all(one["notebooks"] == [] and one["data"] == [str(data)] for one in bodies)
    lines = result.stdout.splitlines()
    assert len(lines) == 5 and lines[0].split() == [
        *("rank", "targets", "held-out", "loss", "accuracy", "trained", "seconds", "MB", "status"),
    ]


def test_a_sweep_as_json_and_as_a_plot(run: Run, fake: FakeDaemon, data: Path, folder: Path) -> None:
    told = run("teach", "--data", "rows.jsonl", "--sweep", "method=lora|alora", "--plot", "s.vl.json", "--json").stdout
    assert [row["point"] for row in json.loads(told)] == [{"method": "lora"}, {"method": "alora"}]
    assert len(json.loads((folder / "s.vl.json").read_text())["data"]["values"]) == 2


def test_what_is_no_axis_is_one_line_and_nothing_is_begun(run: Run, fake: FakeDaemon, data: Path) -> None:
    result = run("teach", "--data", "rows.jsonl", "--sweep", "colour=red")
    assert result.exit_code == 1 and "'colour=red' is no axis" in result.stderr
    assert not fake.of("/api/teach")


class Refusing:
    """A client whose daemon takes so many trainings and refuses the next one."""

    def __init__(self, takes: int, **there: tuple[Any, ...]) -> None:
        self.takes, self.there = takes, there
        self.line: list[str] = []
        self.cancelled: list[str] = []

    def adapters(self) -> tuple[Any, ...]:
        return self.there.get("adapters", ())

    def jobs(self) -> tuple[Any, ...]:
        return self.there.get("jobs", ())

    def teach(self, request: TeachRequest) -> JobInfo:
        if len(self.line) == self.takes:
            raise BadRequest("rank is 999; it takes 1 to 256.", "See: lorebook teach --help")
        self.line.append(request.name)
        return replace(JOB, id=request.name, name=request.name)

    def cancel_job(self, job_id: str) -> JobInfo:
        self.cancelled.append(job_id)
        if job_id == "lab-r1":
            raise Conflict("It has ended already.", "")
        return replace(JOB, id=job_id, state="cancelled")


def swept(client: Refusing, *axes: str, plot: str = "", **asked: Any) -> None:
    sweep(Screen(), cast(Client, client), TeachRequest(name="lab", **asked), axes, plot, False)


def test_where_a_point_is_refused_none_is_left_in_the_line() -> None:
    client = Refusing(2)
    with pytest.raises(BadRequest, match="rank is 999"):
        swept(client, "rank=1,2,999")
    assert client.line == ["lab-r1", "lab-r2"] and client.cancelled == ["lab-r2", "lab-r1"]


@pytest.mark.parametrize(
    ("there", "axes", "asked"),
    [
        ({"adapters": (replace(ADAPTER, name="Lab-R2"),)}, "rank=1,2", {}),
        ({"jobs": (replace(JOB, name="lab-r2", state="waiting"),)}, "rank=1,2", {"replace": True}),
    ],
)
def test_a_name_in_use_is_refused_before_anything_is_trained(there: Any, axes: str, asked: Any) -> None:
    client = Refusing(9, **there)
    with pytest.raises(Conflict, match="lab-r2 already"):
        swept(client, axes, **asked)
    assert not client.line


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("targets=q|x",), "'x' is no target"),
        (("rank=1,2", "--plot", "sweep.svg"), "sweep.svg would hold a plot as Vega-Lite"),
        (("rank=1,2", "--plot", "none/sweep.json"), "There is no folder"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_trained(
    run: Run, fake: FakeDaemon, data: Path, words: tuple[str, ...], told: str
) -> None:
    result = run("teach", "--data", "rows.jsonl", "--sweep", *words)
    assert result.exit_code == 1 and told in result.stderr and not fake.of("/api/teach")


def test_texts_are_told_apart(run: Run, fake: FakeDaemon, folder: Path) -> None:
    (folder / "texts.txt").write_text("brief\n\na very long text\n")
    result = run("classify", "hello", "--with", "sizes", "--file", "texts.txt")
    assert result.stdout.splitlines() == ["short  0.80  hello", "short  0.80  brief", "long   0.90  a very long text"]
    assert run("classify", "hello").stdout == "short  0.80  hello\n" and fake.calls[-1].body["classifier"] == ""
    told = json.loads(run("classify", "hello", "--with", "sizes", "--json").stdout)
    assert told["results"] == [{"label": "short", "probabilities": [0.2, 0.8]}]


def test_without_a_text_or_with_a_file_that_is_not_there_it_says_so(run: Run, fake: FakeDaemon) -> None:
    assert "There is no text." in run("classify", "--with", "sizes").stderr
    assert "none.txt is not a file" in run("classify", "--with", "sizes", "--file", "none.txt").stderr
    assert not fake.of("/api/classify")
