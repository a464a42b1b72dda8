"""`lorebook teach`, `jobs`, `adapters rollback` and `forget`, against a daemon that says what it is told to."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from commandline import Run
from fake_daemon import JOB, PREVIEW, TAUGHT, FakeDaemon, teaching
from lorebook_api.errors import BadRequest, Conflict
from lorebook_api.indexing import Progress
from lorebook_api.teaching import ESTIMATED, Metrics, Prepared


@pytest.fixture
def notebook(folder: Path) -> Path:
    (folder / "lab.ipynb").write_text(json.dumps({"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    return folder / "lab.ipynb"


def asked(fake: FakeDaemon, path: str = "/api/teach") -> dict[str, object]:
    return dict(fake.of(path)[-1].body)


def test_every_command_has_help_with_an_example(run: Run) -> None:
    for words in (("teach",), ("jobs", "list"), ("jobs", "resume"), ("adapters", "rollback"), ("adapters", "forget")):
        result = run(*words, "--help")
        assert result.exit_code == 0 and f"  lorebook {' '.join(words)}" in result.stdout.split("Example")[-1]


def test_teaching_is_watched_to_its_end_and_told(run: Run, fake: FakeDaemon, notebook: Path) -> None:
    result = run("teach", "lab.ipynb", "--cells", "2,5-7", "--name", "lab", "--targets", "q,k", "--rank", "4")
    assert result.exit_code == 0, result.stderr
    body = asked(fake)
    assert body["notebooks"] == [str(notebook)] and body["cells"] == "2,5-7" and not body["replace"]
    assert body["settings"]["targets"] == ["q", "k"] and body["settings"]["rank"] == 4  # type: ignore[index]
    lines = result.stdout.splitlines()
    assert "adapter        clean" in lines and "held-out loss  0.6000" in lines
    assert 'lorebook ask "…" --adapter clean' in lines[-1]
    assert "It drops rows." in result.stderr and "held out 1.900" in result.stderr


def test_what_was_left_out_is_told_at_the_end(run: Run, fake: FakeDaemon, notebook: Path) -> None:
    assert "left out" not in run("teach", "lab.ipynb", "--all").stdout
    result = {**TAUGHT.result, "left_out": {"secret": 2, "too long": 1}}
    fake.scripts.job = [*teaching()[:-1], ("done", asdict(replace(TAUGHT, result=result)))]
    assert "left out       3 (2 secret, 1 too long)" in run("teach", "lab.ipynb", "--all").stdout.splitlines()


def test_what_it_will_take_and_how_much_is_right_are_told(run: Run, fake: FakeDaemon, notebook: Path) -> None:
    told = (
        ("progress", asdict(Progress(f"{ESTIMATED}4 steps"))),
        ("metrics", asdict(Metrics(1, 4, 3.2, 1.9, accuracy=0.75))),
    )
    fake.scripts.job = [*told, ("done", asdict(TAUGHT))]
    lines = run("teach", "lab.ipynb", "--all").stderr.splitlines()
    assert "estimated: 4 steps" in lines
    assert "step 1 of 4: loss 3.200, held out 1.900, accuracy 0.750, 0 tokens/s, 0 s left" in lines


def test_json_is_one_document_with_what_the_contract_names(run: Run, fake: FakeDaemon, notebook: Path) -> None:
    told = json.loads(run("teach", "lab.ipynb", "--all", "--replace", "--json").stdout)
    assert set(told) >= {"job", "adapter", "status", "examples", "seconds", "loss", "held_out_loss", "reason"}
    assert told["status"] == "active" and asked(fake)["replace"] is True and asked(fake)["whole"] is True


def test_a_preview_shows_what_is_learnt_and_what_is_left_out(run: Run, fake: FakeDaemon, notebook: Path) -> None:
    result = run("teach", "lab.ipynb", "--preview")
    assert "1. clean.ipynb, cell c5: 9 tokens, learnt" in result.stdout
    assert "left out, duplicate" in result.stdout and "4 steps in 2 passes" in result.stdout
    assert json.loads(run("teach", "lab.ipynb", "--preview", "--json").stdout)["steps"] == 4
    assert not fake.of("/api/teach")


def test_a_preview_of_many_says_how_many_it_does_not_show(run: Run, fake: FakeDaemon, notebook: Path) -> None:
    fake.scripts.replies["/api/teach/preview"] = asdict(replace(PREVIEW, taught=1201, held_out=134, left_out=7))
    lines = run("teach", "lab.ipynb", "--preview").stdout.splitlines()
    assert "… and 1,340 more examples, which are not shown" in lines
    assert "1,201 are learnt, 134 kept back to measure with, 7 left out" in lines


def test_what_is_to_be_trained_elsewhere_says_what_to_type(run: Run, fake: FakeDaemon, notebook: Path) -> None:
    prepared = Prepared(replace(JOB, state="prepared"), "/state/jobs/j1", ("torchrun … j1", "accelerate … j1"))
    fake.scripts.replies["/api/teach/prepare"] = asdict(prepared)
    told = run("teach", "lab.ipynb", "--all", "--prepare").stdout.splitlines()
    assert "/state/jobs/j1" in told[0] and told[1:3] == ["train it:     torchrun … j1", "or:           accelerate … j1"]
    assert told[3] == "then keep it: lorebook jobs resume j1"
    assert asked(fake, "/api/teach/prepare")["whole"] is True and not fake.of("/api/teach")
    assert json.loads(run("teach", "lab.ipynb", "--prepare", "--json").stdout)["job"]["state"] == "prepared"
    assert "Take one of them." in run("teach", "lab.ipynb", "--prepare", "--preview").stderr


def test_one_that_failed_is_one_line_and_exit_1(run: Run, fake: FakeDaemon, notebook: Path) -> None:
    fake.scripts.job = [("done", asdict(replace(JOB, state="failed", reason="The disk is full. Free some space.")))]
    result = run("teach", "lab.ipynb", "--all")
    assert result.exit_code == 1 and "The disk is full." in result.stderr.splitlines()[-1]


@pytest.mark.parametrize("error", [BadRequest("No cell was selected.", "Select some."), Conflict("lab is there.", "x")])
def test_what_is_refused_is_one_line_and_exit_1(run: Run, fake: FakeDaemon, notebook: Path, error: Exception) -> None:
    fake.scripts.error = error  # type: ignore[assignment]
    result = run("teach", "lab.ipynb")
    assert result.exit_code == 1 and error.args and result.stdout == ""


def test_a_file_that_is_not_there_is_told_before_the_daemon_is_asked(run: Run, fake: FakeDaemon) -> None:
    result = run("teach", "none.ipynb")
    assert result.exit_code == 1 and "none.ipynb is not a file" in result.stderr


def test_jobs_are_listed_shown_ended_and_gone_on_with(run: Run, fake: FakeDaemon) -> None:
    fake.scripts.jobs = (TAUGHT,)
    assert "j1  teach  clean  done" in run("jobs", "list").stdout
    assert json.loads(run("jobs", "list", "--json").stdout)["jobs"][0]["id"] == "j1"
    shown = run("jobs", "show", "j1").stdout
    assert shown.startswith("teach clean: done") and "adapter        clean" in shown
    assert json.loads(run("jobs", "show", "j1", "--json").stdout) == json.loads(json.dumps(asdict(TAUGHT)))
    assert run("jobs", "cancel", "j1").stdout == "teach clean is cancelled.\n"
    assert run("jobs", "resume", "j1").stdout == "teach clean is running.\n"


def test_an_adapter_is_taken_back(run: Run, fake: FakeDaemon) -> None:
    assert "lab-notes is active." in run("adapters", "rollback", "lab-notes").stdout
    assert asked(fake, "/api/adapters/rollback") == {"name": "lab-notes"}


@pytest.mark.parametrize(
    ("cell", "cell_id", "name"), [("lab.ipynb#c3", "c3", "lab.ipynb"), ("#c3", "c3", ""), ("a.jsonl", "", "a.jsonl")]
)
def test_who_learnt_from_a_cell_is_told(
    run: Run, fake: FakeDaemon, folder: Path, cell: str, cell_id: str, name: str
) -> None:
    result = run("adapters", "forget", "--cell", cell)
    assert result.stdout == (
        "lab learnt from lab.ipynb c3; it is deleted, and made again from 4 examples: lorebook jobs show j1\n"
        "the version of old before the present one learnt from lab.ipynb c3; "
        "it is deleted, and nothing rolls back to it\n"
        "top was made from own, which learnt from it; "
        "it is deleted: the model that it was taught upon, own, is not made again\n"
        "/work/m.gguf learnt from lab.ipynb c3; it is a file of yours: delete it yourself\n"
    )
    body = asked(fake, "/api/adapters/forget")
    assert body == {"cell": cell_id, "path": str(folder / name) if name else "", "only_list": False}
    listed = run("adapters", "forget", "--cell", cell, "--list").stdout
    assert "top was made from own, which learnt from it; it would be deleted: " in listed
    assert asked(fake, "/api/adapters/forget")["only_list"] is True
