"""Forgetting over HTTP, with a trainer that learns nothing: who saw a cell, what goes, what is made again."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from lorebook_api.client import decode
from lorebook_api.errors import LorebookError
from lorebook_api.home import find_home
from lorebook_api.teaching import JobInfo, Saw
from lorebook_daemon.models.adapters import adapters_folder, card_file
from lorebook_daemon.models.ancestry import made_models, note_made
from lorebook_daemon.models.identity import identity
from lorebook_daemon.models.taught import model_names, taught_models
from teaching_app import PAIRS, refused, serving


def test_who_learnt_from_a_cell_is_listed_and_nothing_changes(app):
    app.taught()
    told = app.post("/api/adapters/forget", cell="c1", only_list=True).json()["adapters"]
    assert [decode(Saw, one) for one in told] == [Saw("lab", ("lab.ipynb c1",), 1)]
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
    assert told == listed and [decode(Saw, one) for one in told] == [Saw("lab", ("lab.ipynb c1",), 1, earlier=True)]
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


# -- upon a model that learnt from it


def names(told):
    return [(one["adapter"], one["upon"], bool(one["job"])) for one in told]


def card_of(name):
    return json.loads(card_file(find_home(), name).read_text())


MORE = [{"question": "Where was it?", "answer": "In Oslo.", "cell": "c7", "path": "/work/other.ipynb"}]


def test_what_was_taught_upon_a_model_that_saw_it_is_made_again_upon_the_new_one(app, trainer):
    app.taught(method="full")
    app.taught(name="second", base="lab", method="full", pairs=MORE)
    app.taught(name="top", base="second", pairs=MORE)
    app.taught(name="aside", pairs=MORE)
    old = card_of("top")["base"]["sha256"]
    listed = app.post("/api/adapters/forget", cell="c1", only_list=True).json()["adapters"]
    assert names(listed) == [("lab", "", False), ("second", "lab", False), ("top", "second", False)]
    assert [(one["places"], one["left"]) for one in listed] == [(["lab.ipynb c1"], 1), ([], 1), ([], 1)]
    trainer.may_end.clear()
    told = app.post("/api/adapters/forget", cell="c1").json()["adapters"]
    assert names(told) == [("lab", "", True), ("second", "lab", True), ("top", "second", True)]
    assert set(app.adapters()) == {"aside"} and model_names(find_home()) == ()
    trainer.may_end.set()
    for one in told:
        app.until(one["job"], "done")
    assert [job.name for job, _ in trainer.runs[-3:]] == ["lab", "second", "top"]
    made = {one.name: one.sha256 for one in made_models(find_home()) if one.own}
    assert card_of("top")["base"]["sha256"] == made["second"] != old
    assert dict(taught_models(find_home()))["second"]["base"]["sha256"] == made["lab"]
    assert b"Anna" not in (find_home().models / "second.gguf").read_bytes()
    refused(app.post("/api/adapters/forget", cell="c1"), 404)


def test_what_was_taught_upon_a_model_of_which_nothing_is_left_goes_and_says_why(app):
    app.taught(method="full", pairs=PAIRS[:1])
    app.taught(name="top", base="lab", pairs=MORE)
    told = app.post("/api/adapters/forget", cell="c1").json()["adapters"]
    assert names(told) == [("lab", "", False), ("top", "lab", False)]
    assert told[1]["left"] == 1 and "taught upon, lab, is not made again" in told[1]["reason"]
    assert not app.adapters() and model_names(find_home()) == ()


def test_what_was_taught_upon_a_model_that_was_deleted_since_goes_too(app):
    app.taught(method="full")
    app.taught(name="top", base="lab", pairs=MORE)
    app.client.delete("/api/models/lab")
    (told,) = app.post("/api/adapters/forget", cell="c1").json()["adapters"]
    assert names([told]) == [("top", "lab", False)] and told["reason"] and not app.adapters()


def test_what_learnt_from_it_itself_too_is_made_again_without_it_upon_the_new_model(app, trainer):
    app.taught(method="full")
    app.taught(name="atop", base="lab")
    told = app.post("/api/adapters/forget", cell="c1").json()["adapters"]
    assert names(told) == [("lab", "", True), ("atop", "lab", True)] and told[1]["places"] == ["lab.ipynb c1"]
    app.until(told[1]["job"], "done")
    assert [cell["cell"] for cell in card_of("atop")["cells"]] == ["c2"]


def test_a_version_before_that_was_taught_upon_it_is_deleted(app):
    app.taught(method="full")
    app.taught(name="top", base="lab", pairs=MORE)
    app.taught(name="top", pairs=MORE, replace=True)
    told = app.post("/api/adapters/forget", cell="c1").json()["adapters"]
    assert [(one["adapter"], one["earlier"]) for one in told] == [("lab", False), ("top", True)]
    assert set(app.adapters()) == {"top"}
    assert app.post("/api/adapters/rollback", name="top").json()["status"] == "candidate"


def test_an_adapter_upon_a_merged_model_goes_and_the_file_of_a_person_is_named_and_stays(app, files, tmp_path):
    app.taught()
    path = tmp_path / "merged.gguf"
    path.write_bytes((files / "base.gguf").read_bytes() + b"merged")
    home = find_home()
    sha256, card = identity(path, home), card_of("lab")
    note_made(home, path, sha256, card["base"]["sha256"], card["cells"])
    app.taught(name="top", base=str(path), pairs=MORE)
    app.client.delete("/api/adapters/lab")
    told = app.post("/api/adapters/forget", cell="c1").json()["adapters"]
    assert names(told) == [("top", "merged", False), (str(path), "", False)]
    assert "merged, is not made again" in told[0]["reason"]
    assert told[1]["file"] == str(path) and told[1]["places"] == ["lab.ipynb c1"]
    assert path.is_file() and not app.adapters()
    path.rename(tmp_path / "moved.gguf")
    app.taught(name="again", base=str(tmp_path / "moved.gguf"), pairs=MORE)
    (told,) = app.post("/api/adapters/forget", cell="c1").json()["adapters"]
    assert told["adapter"] == "again" and not app.adapters()


def test_what_is_taught_upon_it_now_must_be_ended_before(app, trainer):
    app.taught(method="full")
    trainer.may_end.clear()
    job = app.teach(name="top", base="lab", pairs=MORE)
    app.until(job["id"], "running")
    assert f"jobs cancel {job['id']}" in forget_refused(app)
    app.post(f"/api/jobs/{job['id']}/cancel")
    trainer.may_end.set()
    folder = app.parts.teaching.folder(job["id"])
    (folder / "checkpoint.pt").write_text("learnt")
    (told,) = app.post("/api/adapters/forget", cell="c1").json()["adapters"]
    assert not (folder / "checkpoint.pt").exists()
    app.until(told["job"], "done")
    app.post(f"/api/jobs/{job['id']}/resume")
    app.until(job["id"], "done")
    assert card_of("top")["base"]["sha256"] in {one.sha256 for one in made_models(find_home()) if one.own}


def forget_refused(app):
    response = app.post("/api/adapters/forget", cell="c1")
    refused(response, 409)
    return response.json()["error"]["hint"]


def test_one_whose_base_was_not_made_again_says_so_and_can_be_gone_on_with(app, trainer):
    app.taught(method="full")
    app.taught(name="top", base="lab", pairs=MORE)
    trainer.error = LorebookError("The loss became nan.", "Learn more slowly.")
    lab, top = app.post("/api/adapters/forget", cell="c1").json()["adapters"]
    app.until(lab["job"], "failed")
    assert "lab, was to be made again first" in app.until(top["job"], "failed")["reason"]
    trainer.error = None
    for one in (lab, top):
        app.post(f"/api/jobs/{one['job']}/resume")
        app.until(one["job"], "done")
    assert set(app.adapters()) == {"top"}


# -- versions


def test_one_whose_place_is_being_taken_cannot_be_forgotten_before_that_is_ended(app, trainer):
    app.taught()
    trainer.may_end.clear()
    job = app.teach(pairs=MORE, replace=True)
    assert f"jobs cancel {job['id']}" in forget_refused(app)
    trainer.may_end.set()


@pytest.mark.parametrize("n", range(8))
def test_a_version_that_was_put_aside_when_the_daemon_was_killed_is_forgotten_too(home, files, trainer, monkeypatch, n):
    """Killed before the nth change of a file, while another takes its place."""

    class Killed(BaseException):
        pass

    def killing(real):
        def change(*given, **named):
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed
            return real(*given, **named)

        return change

    with serving(files, trainer) as app:
        app.taught()
        job = app.taught(pairs=MORE, replace=True)
        app.post("/api/adapters/rollback", name="lab")
        left, again = n, replace(decode(JobInfo, job), state="running")
        with monkeypatch.context() as patch, contextlib.suppress(Killed):
            patch.setattr(Path, "replace", killing(Path.replace))
            patch.setattr(shutil, "copyfile", killing(shutil.copyfile))
            asyncio.run(app.parts.teaching.work(again, lambda name, data: None))
        listed = app.post("/api/adapters/forget", cell="c1", only_list=True).json()["adapters"]
    trainer.may_end.clear()  # it is not made again while we look
    with serving(files, trainer) as app:
        told = app.post("/api/adapters/forget", cell="c1").json()["adapters"]
        assert names(told) and [one["adapter"] for one in told] == [one["adapter"] for one in listed] == ["lab"]
        folder = adapters_folder(home)
        cards = [path.read_text() for path in folder.rglob("*.json") if "adapter_config" not in path.name]
        assert not any("c1" in card for card in cards)
        whole = {path.stem for path in folder.glob("*.gguf")}
        assert {path.stem for path in (*folder.glob("*.json"), *folder.glob("*.peft"))} <= whole
