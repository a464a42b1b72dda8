"""Teaching over HTTP, with a trainer that learns nothing: requests, names, jobs, versions, training elsewhere."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

import tiny_models
from fake_app import parse_events
from lorebook_api.client import decode
from lorebook_api.errors import LorebookError, StorageFailed
from lorebook_api.home import find_home
from lorebook_api.teaching import JobInfo
from lorebook_daemon.models.adapters import adapter_names, adapters_folder, card_file
from teaching_app import PAIRS, refused, serving

# -- a training


def test_what_is_taught_becomes_an_adapter_with_a_card(app, trainer):
    job = app.taught()
    assert job["result"]["status"] == "active" and job["result"]["examples"] == 2
    assert job["result"]["held_out_loss"] == 0.2
    assert app.adapters()["lab"]["status"] == "active"
    card = json.loads(card_file(find_home(), "lab").read_text())
    assert [cell["cell"] for cell in card["cells"]] == ["c1", "c2"]
    events = parse_events(app.client.get(f"/api/jobs/{job['id']}/events").text)
    assert [name for name, _ in events] == ["progress", "metrics", "said", "metrics", "progress", "done"]
    assert [one["id"] for one in app.client.get("/api/jobs").json()["jobs"]] == [job["id"]]


def test_what_was_left_out_is_told_by_card_and_result(app, tmp_path):
    path = tmp_path / "answers.jsonl"
    rows = [{"conversations": ["one alone"]}, {"prompt": "Key?", "completion": "password='hunter2x'"}]
    path.write_text("\n".join(map(json.dumps, [*rows, {"prompt": "Who?", "completion": "Anna."}])))
    result = app.taught(pairs=[*PAIRS, PAIRS[0]], data=[str(path)])["result"]
    assert result["examples"] == 3
    assert result["left_out"] == {"duplicate": 1, "no answer": 1, "secret": 1}
    assert json.loads(card_file(find_home(), "lab").read_text())["left_out"] == result["left_out"]


def test_an_adapter_that_did_not_pass_is_a_candidate_and_says_why(app, trainer):
    trainer.status = "candidate"
    assert app.taught()["result"]["status"] == "candidate"
    assert app.adapters()["lab"]["reason"] == "The held-out loss did not fall."


def test_a_preview_leaves_nothing_behind(app, trainer):
    shown = app.post("/api/teach/preview", pairs=PAIRS).json()
    assert shown["steps"] == 4 and trainer.runs == []
    assert not (find_home().state / "jobs").exists() and not app.adapters()


def test_names_are_taken_from_files_and_never_twice(app, tmp_path):
    path = tmp_path / "my data.jsonl"
    path.write_text('{"prompt": "Who?", "completion": "Anna."}\n')
    one = app.taught(pairs=[], data=[str(path)], name="")
    two = app.taught(pairs=[], data=[str(path)], name="")
    assert (one["name"], two["name"]) == ("my-data", "my-data-2")


# -- what goes wrong


def test_a_name_in_use_is_refused_and_nothing_is_lost(app, trainer):
    app.taught()
    message = refused(app.post("/api/teach", pairs=PAIRS, name="LAB"), 409)
    assert "LAB" in message and len(list((find_home().state / "jobs").iterdir())) == 1
    trainer.may_end.clear()
    app.teach(name="other")
    refused(app.post("/api/teach", pairs=PAIRS, name="other"), 409)  # a job makes it
    trainer.may_end.set()


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        ({"pairs": []}, 400, "nothing to teach"),
        ({"pairs": [{"question": "q", "answer": " "}]}, 400, "empty"),
        ({"pairs": [{"question": "q?", "answer": "Q?"}]}, 400, "left out"),
        ({"notebooks": ["lab.ipynb"]}, 400, "relative"),
        ({"notebooks": ["/nowhere/lab.ipynb"]}, 404, "lab.ipynb"),
        ({"data": ["/nowhere/a.jsonl"]}, 404, "a.jsonl"),
        ({"method": "magic"}, 400, "no method"),
        ({"settings": {"rank": 0}}, 400, "rank"),
        ({"name": "a/b"}, 400, "a/b"),
    ],
)
def test_what_cannot_be_taught_is_refused_before_a_job_is_made(app, body, status, told):
    assert told in refused(app.post("/api/teach", **{"pairs": PAIRS, **body}), status)
    assert app.client.get("/api/jobs").json()["jobs"] == []
    assert not list((find_home().state / "jobs").glob("*"))


def test_a_disk_that_is_full_at_the_end_leaves_no_half_written_adapter(app, monkeypatch):
    def full(*_):
        raise StorageFailed("The disk is full.", "Free some space.")

    monkeypatch.setattr(app.parts.adapters, "add", full)
    job = app.until(app.teach()["id"], "failed")
    assert "The disk is full." in job["reason"] and not app.adapters()
    assert [path for path in adapters_folder(find_home()).glob("lab*")] == []
    monkeypatch.undo()
    app.post(f"/api/jobs/{job['id']}/resume")
    app.until(job["id"], "done")
    assert set(app.adapters()) == {"lab"}


def test_a_trainer_that_fails_leaves_no_adapter_and_its_job_can_be_gone_on_with(app, trainer):
    trainer.error = LorebookError("The loss became nan.", "Learn more slowly.")
    job = app.until(app.teach()["id"], "failed")
    assert "nan" in job["reason"] and not app.adapters()
    trainer.error = None
    app.post(f"/api/jobs/{job['id']}/resume")
    assert app.until(job["id"], "done")["result"]["adapter"] == "lab"


def test_a_job_is_cancelled_its_trainer_ended_and_nothing_listed(app, trainer):
    trainer.may_end.clear()
    job = app.teach()
    app.until(job["id"], "running")
    assert app.post(f"/api/jobs/{job['id']}/cancel").json()["state"] == "cancelled"
    assert trainer.ended == len(trainer.runs) and not app.adapters()


def test_of_two_trainings_the_second_waits(app, trainer):
    trainer.may_end.clear()
    one, two = app.teach(name="one"), app.teach(name="two")
    app.until(one["id"], "running")
    assert app.job(two["id"])["state"] == "waiting" and len(trainer.runs) == 1
    trainer.may_end.set()
    app.until(two["id"], "done")
    assert [job.name for job, _ in trainer.runs] == ["one", "two"]


def test_a_daemon_that_ends_and_comes_back_goes_on_with_the_job(home, files, trainer):
    trainer.may_end.clear()
    with serving(files, trainer) as app:
        job = app.teach()
        app.until(job["id"], "running")
    trainer.may_end.set()
    with serving(files, trainer) as app:
        assert app.job(job["id"])["state"] == "interrupted"
        app.post(f"/api/jobs/{job['id']}/resume")
        assert app.until(job["id"], "done")["result"]["status"] == "active"
        assert set(app.adapters()) == {"lab"}


def test_what_a_trainer_wrote_to_its_log_can_be_read(app):
    job = app.taught()
    (app.parts.teaching.folder(job["id"]) / "log.txt").write_text("a warning\n")
    assert app.client.get(f"/api/jobs/{job['id']}/logs").json() == {"log": "a warning\n"}


# -- versions


def test_one_that_passes_replaces_the_one_before_and_one_step_leads_back(app, files, tmp_path, trainer):
    app.taught()
    first = card_file(find_home(), "lab").read_text()
    trainer.adapter = tiny_models.tiny_adapter(tmp_path / "other.gguf", files / "base.gguf", rank=2)
    app.taught(name="Lab", replace=True)
    assert adapter_names(find_home()) == ("lab",) and app.adapters()["lab"]["ranks"] == [2]
    back = app.post("/api/adapters/rollback", name="lab").json()
    assert back["ranks"] != [2] and card_file(find_home(), "lab").read_text() == first
    assert app.post("/api/adapters/rollback", name="lab").json()["ranks"] == [2]  # and forward again


def test_one_that_does_not_pass_leaves_the_one_before_in_its_place(app, trainer):
    app.taught()
    first = card_file(find_home(), "lab").read_text()
    trainer.status = "candidate"
    result = app.taught(replace=True)["result"]
    assert result["status"] == "candidate" and "stays" in result["reason"]
    assert card_file(find_home(), "lab").read_text() == first and app.adapters()["lab"]["status"] == "active"


def test_an_adapter_without_an_earlier_version_becomes_a_candidate(app):
    app.taught()
    assert app.post("/api/adapters/rollback", name="lab").json()["status"] == "candidate"
    refused(app.post("/api/adapters/rollback", name="lab"), 409)
    refused(app.post("/api/adapters/rollback", name="none"), 404)


def failed_before_another_made_it(app, trainer, **body):
    """Return a job that failed, whose name another one's adapter has by now."""
    trainer.error = LorebookError("The loss became nan.", "Learn more slowly.")
    job = app.until(app.teach(**body)["id"], "failed")
    trainer.error = None
    app.taught()
    return job


def test_one_that_is_gone_on_with_takes_nobodys_place_that_it_was_not_given(app, trainer):
    job = failed_before_another_made_it(app, trainer)
    first, runs = card_file(find_home(), "lab").read_text(), len(trainer.runs)
    app.post(f"/api/jobs/{job['id']}/resume")
    reason = app.until(job["id"], "failed")["reason"]
    assert "There is an adapter lab by now" in reason and f"jobs resume {job['id']}" in reason
    assert card_file(find_home(), "lab").read_text() == first and len(trainer.runs) == runs
    app.client.delete("/api/adapters/lab")
    app.post(f"/api/jobs/{job['id']}/resume")
    assert app.until(job["id"], "done")["result"]["adapter"] == "lab"


def test_a_name_that_is_taken_while_it_trains_stays_with_who_has_it(app, trainer, files):
    trainer.may_end.clear()
    job = app.teach()
    app.until(job["id"], "running")
    app.parts.adapters.add(files / "adapter.gguf", "Lab")
    trainer.may_end.set()
    assert "There is an adapter Lab by now" in app.until(job["id"], "failed")["reason"]
    assert app.adapters()["Lab"]["status"] == ""


def test_one_that_may_replace_does_so_when_it_is_gone_on_with(app, trainer):
    job = failed_before_another_made_it(app, trainer, replace=True)
    app.post(f"/api/jobs/{job['id']}/resume")
    app.until(job["id"], "done")
    assert json.loads(card_file(find_home(), "lab").read_text())["job"] == job["id"]
    app.post("/api/adapters/rollback", name="lab")
    assert json.loads(card_file(find_home(), "lab").read_text())["job"] != job["id"]


def test_a_kill_after_an_adapter_got_its_name_does_not_cost_the_version_before(app, trainer):
    first = app.taught()
    second = app.taught(replace=True)
    runs = len(trainer.runs)
    again = replace(decode(JobInfo, second), state="running", result={})
    told = app.client.portal.call(app.parts.teaching.work, again, lambda name, data: None)
    assert told == second["result"] and len(trainer.runs) == runs
    app.post("/api/adapters/rollback", name="lab")
    assert json.loads(card_file(find_home(), "lab").read_text())["job"] == first["id"]


def test_a_kill_after_a_model_got_its_name_does_not_train_it_again(app, trainer):
    job = app.taught(method="full")
    again = replace(decode(JobInfo, job), state="running", result={})
    told = app.client.portal.call(app.parts.teaching.work, again, lambda name, data: None)
    assert told == job["result"] and len(trainer.runs) == 1


def test_a_kill_while_one_takes_anothers_place_can_be_gone_on_with_or_taken_back(app, trainer, monkeypatch):
    class Killed(BaseException):
        pass

    def kill(*_):
        raise Killed

    first = app.taught()
    job = app.teach(replace=True, pairs=PAIRS[:1])
    app.until(job["id"], "done")
    app.post("/api/adapters/rollback", name="lab")
    again = replace(decode(JobInfo, job), state="running")
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(app.parts.adapters, "add", kill)
        asyncio.run(app.parts.teaching.work(again, lambda name, data: None))
    assert not app.adapters()
    assert app.post("/api/adapters/rollback", name="LAB").json()["name"] == "lab"
    assert json.loads(card_file(find_home(), "lab").read_text())["job"] == first["id"]


# -- elsewhere


def prepared(app, **body):
    response = app.post("/api/teach/prepare", **{"pairs": PAIRS, "name": "lab", **body})
    assert response.status_code == 200, response.text
    return response.json()


def train_elsewhere(trainer, folder):
    """Do what torchrun does in a folder, without the daemon."""

    async def work():
        return [event async for event in trainer("train", Path(folder), None)]

    asyncio.run(work())


def test_what_is_to_be_trained_elsewhere_is_laid_out_and_waits_for_nobody(app, trainer):
    told = prepared(app)
    job, folder = told["job"], Path(told["folder"])
    assert (job["state"], job["name"]) == ("prepared", "lab") and app.job(job["id"]) == job
    assert (folder / "job.json").is_file() and "Anna" in (folder / "examples.jsonl").read_text()
    assert all(command.endswith(f"lorebook_daemon.teach.child train {folder}") for command in told["commands"])
    app.taught(name="other")  # it keeps nobody waiting
    assert [one.name for one, _ in trainer.runs] == ["other"]
    refused(app.post(f"/api/jobs/{job['id']}/cancel"), 409)


@pytest.mark.parametrize("status", ["active", "candidate"])
def test_what_was_trained_elsewhere_is_taken_over_and_not_trained_again(app, trainer, status):
    told = prepared(app)
    trainer.status = status
    train_elsewhere(trainer, told["folder"])
    assert not app.adapters()
    app.post(f"/api/jobs/{told['job']['id']}/resume")
    result = app.until(told["job"]["id"], "done")["result"]
    assert (result["status"], result["examples"], result["held_out_loss"]) == (status, 2, 0.2)
    assert app.adapters()["lab"]["status"] == status and len(trainer.runs) == 1
    assert card_file(find_home(), "lab").is_file() and (adapters_folder(find_home()) / "lab.peft").is_dir()


def test_what_was_not_trained_elsewhere_yet_says_how_and_can_be_taken_over_later(app, trainer):
    told = prepared(app)
    job = told["job"]["id"]
    app.post(f"/api/jobs/{job}/resume")
    assert told["commands"][0] in app.until(job, "failed")["reason"] and not trainer.runs
    train_elsewhere(trainer, told["folder"])
    app.post(f"/api/jobs/{job}/resume")
    app.until(job, "done")
    assert app.adapters()["lab"]["status"] == "active"


def test_what_was_forgotten_while_it_was_trained_elsewhere_is_not_taken_over(app, trainer):
    told = prepared(app)
    folder, job = Path(told["folder"]), told["job"]["id"]
    train_elsewhere(trainer, folder)
    kept = {name: (folder / name).read_bytes() for name in ("card.json", "adapter.gguf")}
    app.post("/api/adapters/forget", cell="c1")
    for name, data in kept.items():  # as one that went on elsewhere would write them now
        (folder / name).write_bytes(data)
    app.post(f"/api/jobs/{job}/resume")
    app.until(job, "failed")
    assert not app.adapters()


def test_an_adapter_from_elsewhere_is_made_again_here_when_a_cell_is_forgotten(app, trainer):
    told = prepared(app)
    train_elsewhere(trainer, told["folder"])
    app.post(f"/api/jobs/{told['job']['id']}/resume")
    app.until(told["job"]["id"], "done")
    (forgotten,) = app.post("/api/adapters/forget", cell="c1").json()["adapters"]
    assert app.until(forgotten["job"], "done")["result"]["examples"] == 1


def test_what_cannot_be_laid_out_leaves_nothing_behind(app):
    refused(app.post("/api/teach/prepare", pairs=[]), 400)
    assert app.client.get("/api/jobs").json()["jobs"] == []
    assert not list((find_home().state / "jobs").glob("*"))
