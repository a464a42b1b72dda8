"""Forgetting over HTTP, with a trainer that learns nothing: who saw a cell, what goes, what is made again."""

from __future__ import annotations

import json

from lorebook_api.errors import LorebookError
from lorebook_api.home import find_home
from lorebook_daemon.models.adapters import card_file
from lorebook_daemon.models.taught import model_names, taught_models
from teaching_app import PAIRS, refused


def test_who_learnt_from_a_cell_is_listed_and_nothing_changes(app):
    app.taught()
    told = app.post("/api/adapters/forget", cell="c1", only_list=True).json()["adapters"]
    assert told == [{"adapter": "lab", "places": ["lab.ipynb c1"], "left": 1, "job": "", "earlier": False}]
    assert set(app.adapters()) == {"lab"}


def test_what_was_learnt_from_a_cell_is_gone_at_once_and_the_rest_is_learnt_anew(app, trainer):
    old = app.taught()
    trainer.may_end.clear()
    (told,) = app.post("/api/adapters/forget", cell="c1", path="/work/lab.ipynb").json()["adapters"]
    assert not app.adapters() and told["left"] == 1
    kept = find_home().state / "jobs"
    assert not (kept / old["id"]).exists()  # the checkpoint and the examples of the old training
    assert not any("Anna" in path.read_text() for path in kept.rglob("*.jsonl"))
    trainer.may_end.set()
    app.until(told["job"], "done")
    assert app.adapters()["lab"]["status"] == "active"
    _, examples = trainer.runs[-1]
    assert examples and all("Anna" not in example.answer for example in examples)


def test_what_the_model_said_of_a_cell_while_it_learnt_is_gone_too(app):
    job = app.taught()["id"]
    kept = find_home().state
    assert "event: said" in app.client.get(f"/api/jobs/{job}/events").text
    assert any(b"Anna" in file.read_bytes() for file in kept.glob("jobs.sqlite*"))
    app.post("/api/adapters/forget", path="/work/lab.ipynb")
    left = app.client.get(f"/api/jobs/{job}/events").text
    assert "event: said" not in left and left.count("event: metrics") == 2
    assert not any(b"Anna" in file.read_bytes() for file in kept.glob("jobs.sqlite*"))


def test_an_adapter_of_which_nothing_is_left_is_deleted(app):
    app.taught()
    (told,) = app.post("/api/adapters/forget", path="/work/lab.ipynb").json()["adapters"]
    assert told["job"] == "" and told["left"] == 0 and not app.adapters()


def test_an_earlier_version_that_saw_the_cell_goes_too(app):
    app.taught()
    app.taught(replace=True)
    (told,) = app.post("/api/adapters/forget", cell="c1").json()["adapters"]
    assert not any("Anna" in path.read_text() for path in (find_home().state / "jobs").rglob("*.jsonl"))
    app.until(told["job"], "done")
    assert app.post("/api/adapters/rollback", name="lab").json()["status"] == "candidate"  # there is no version before


def test_an_earlier_version_that_alone_saw_the_cell_is_deleted_and_the_present_one_stays(app, trainer):
    app.taught(pairs=PAIRS)
    app.taught(pairs=PAIRS[1:], replace=True)
    listed = app.post("/api/adapters/forget", cell="c1", only_list=True).json()["adapters"]
    told = app.post("/api/adapters/forget", cell="c1").json()["adapters"]
    assert told == listed == [{"adapter": "lab", "places": ["lab.ipynb c1"], "left": 1, "job": "", "earlier": True}]
    assert app.adapters()["lab"]["status"] == "active" and len(trainer.runs) == 2
    assert not any("Anna" in path.read_text() for path in (find_home().state / "jobs").rglob("*.jsonl"))
    assert app.post("/api/adapters/rollback", name="lab").json()["status"] == "candidate"  # there is no version before


def test_a_model_of_its_own_that_saw_the_cell_is_deleted_and_taught_anew(app, trainer):
    app.taught(method="full")
    assert [name for name, _ in taught_models(find_home())] == ["lab"] and not app.adapters()
    trainer.may_end.clear()
    (told,) = app.post("/api/adapters/forget", cell="c1").json()["adapters"]
    assert told["left"] == 1 and not list(find_home().models.glob("lab*"))
    trainer.may_end.set()
    app.until(told["job"], "done")
    ((_, card),) = taught_models(find_home())
    assert [cell["cell"] for cell in card["cells"]] == ["c2"] and model_names(find_home()) == ("lab",)


def test_a_row_is_forgotten_by_its_number_as_it_is_told(app, tmp_path):
    path = tmp_path / "answers.jsonl"
    path.write_text("".join(f'{{"prompt": "What is {n}?", "completion": "It is {n}."}}\n' for n in (1, 2, 3)))
    app.taught(pairs=[], data=[str(path)])
    (listed,) = app.post("/api/adapters/forget", cell="2", path=str(path), only_list=True).json()["adapters"]
    assert listed["places"] == ["answers.jsonl row 2"] and listed["left"] == 2
    refused(app.post("/api/adapters/forget", cell="0", path=str(path)), 404)
    (told,) = app.post("/api/adapters/forget", cell="2", path=str(path)).json()["adapters"]
    app.until(told["job"], "done")
    card = json.loads(card_file(find_home(), "lab").read_text())
    assert [cell["cell"] for cell in card["cells"]] == ["row 1", "row 3"]


def test_prose_is_forgotten_with_the_code_that_it_explained(app, tmp_path):
    path = tmp_path / "lab.ipynb"
    cells = [
        {"cell_type": "markdown", "id": "told", "metadata": {}, "source": "Rows without a date are dropped."},
        {"cell_type": "code", "id": "code", "metadata": {}, "source": "df.dropna()", "outputs": []},
    ]
    path.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    app.taught(pairs=PAIRS, notebooks=[str(path)], whole=True)
    card = json.loads(card_file(find_home(), "lab").read_text())
    assert {"told", "code"} <= {cell["cell"] for cell in card["cells"] if cell["sha256"]}
    (told,) = app.post("/api/adapters/forget", cell="told").json()["adapters"]
    assert told["places"] == ["lab.ipynb told"] and told["left"] == 2
    assert not any("date" in path.read_text() for path in (find_home().state / "jobs").rglob("*.jsonl"))


def test_what_nobody_learnt_from_is_told(app):
    app.taught()
    assert "No adapter" in refused(app.post("/api/adapters/forget", cell="c9"), 404)
    refused(app.post("/api/adapters/forget"), 400)
    refused(app.post("/api/adapters/forget", path="lab.ipynb"), 400)
    assert set(app.adapters()) == {"lab"}


def test_a_job_that_came_to_nothing_forgets_as_well(app, trainer):
    trainer.error = LorebookError("The loss became nan.", "Learn more slowly.")
    job = app.until(app.teach()["id"], "failed")
    folder = app.parts.teaching.folder(job["id"])
    (folder / "checkpoint.pt").write_text("learnt")
    assert app.post("/api/adapters/forget", cell="c1").json() == {"adapters": []}
    assert not (folder / "checkpoint.pt").exists() and "Anna" not in (folder / "examples.jsonl").read_text()
    trainer.error = None
    app.post(f"/api/jobs/{job['id']}/resume")
    assert app.until(job["id"], "done")["result"]["examples"] == 1


def test_what_is_being_learnt_cannot_be_forgotten_before_that_is_ended(app, trainer):
    trainer.may_end.clear()
    job = app.teach()
    app.until(job["id"], "running")
    assert "learns from it now" in refused(app.post("/api/adapters/forget", cell="c1"), 409)


def test_a_card_that_names_no_job_of_ours_deletes_no_folder(app):
    app.taught()
    file = card_file(find_home(), "lab")
    file.write_text(json.dumps({**json.loads(file.read_text()), "job": ".."}))
    app.post("/api/adapters/forget", cell="c1")
    assert (find_home().state / "jobs.sqlite").is_file() and list((find_home().state / "jobs").iterdir())
    assert not app.adapters()
