"""`lorebook teach --sweep` and `lorebook classify`, against a daemon that says what it is told to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from commandline import Run
from fake_daemon import FakeDaemon


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


def test_texts_are_told_apart(run: Run, fake: FakeDaemon, folder: Path) -> None:
    (folder / "texts.txt").write_text("brief\n\na very long text\n")
    result = run("classify", "hello", "--with", "sizes", "--file", "texts.txt")
    assert result.stdout.splitlines() == ["short  0.80  hello", "short  0.80  brief", "long   0.90  a very long text"]
    told = json.loads(run("classify", "hello", "--with", "sizes", "--json").stdout)
    assert told["results"] == [{"label": "short", "probabilities": [0.2, 0.8]}]


def test_without_a_text_or_with_a_file_that_is_not_there_it_says_so(run: Run, fake: FakeDaemon) -> None:
    assert "There is no text." in run("classify", "--with", "sizes").stderr
    assert "none.txt is not a file" in run("classify", "--with", "sizes", "--file", "none.txt").stderr
    assert not fake.of("/api/classify")
