"""Teaching as a person meets it: the daemon killed in the middle, the job gone on with, the adapter asked with."""

from __future__ import annotations

import json
import shlex
import subprocess

import psutil
import pytest

import tiny_models
from end_to_end.person import Person, until

for wanted in ("torch", "peft"):
    pytest.importorskip(wanted, reason="training is tested where pip install 'lorebook[train]' was typed")

pytestmark = [pytest.mark.train, pytest.mark.daemon]

TEACH = ("teach", "--data", "facts.jsonl", "--base", "tiny", "--name", "lab", "--epochs", "120", "--json")


@pytest.fixture
def learner(tmp_path):
    """Somebody with a tiny model and twelve facts."""
    home, folder = tmp_path / "theirs", tmp_path / "work"
    (home / "models").mkdir(parents=True)
    folder.mkdir()
    tiny_models.tiny_qwen2(home / "models" / "tiny.gguf")
    rows = [{"question": f"What is the name of file {n}?", "answer": f"return {n} is the answer"} for n in range(12)]
    (folder / "facts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    person = Person(home, folder, "tiny")
    yield person
    person.leave()


@pytest.mark.timeout(400)
def test_a_daemon_killed_in_the_middle_comes_back_and_the_job_is_gone_on_with(learner):
    run = learner.start(*TEACH)
    until(lambda: run.poll() is not None or list(learner.home.state.glob("jobs/*/checkpoint.pt")), within_s=150)
    daemon = psutil.Process(learner.daemon().pid)
    trainers = [one for one in daemon.children() if "lorebook_daemon.teach.child" in one.cmdline()]
    daemon.kill()
    run.communicate(timeout=60)
    assert run.returncode == 1
    psutil.wait_procs(trainers, timeout=20)
    assert not any(one.is_running() for one in trainers)  # whose parent is gone does not go on by itself

    (job,) = learner.type("jobs", "list", "--json").document()["jobs"]
    assert job["state"] == "interrupted" and "jobs resume" not in job["reason"]
    assert learner.type("adapters", "list", "--json").document() == {"adapters": []}
    learner.type("jobs", "resume", job["id"])
    until(lambda: learner.type("jobs", "show", job["id"], "--json").document()["state"] == "done", within_s=120)

    (adapter,) = learner.type("adapters", "list", "--json").document()["adapters"]
    assert adapter["name"] == "lab" and adapter["status"] in ("active", "candidate")
    asked = ("ask", "What is the name of file 3?", "--no-grounding", "--model", "tiny", "--max-tokens", "8", "--json")
    plain, taught = (learner.type(*asked, *words).document()["answer"] for words in ((), ("--adapter", "lab")))
    assert plain != taught


@pytest.mark.timeout(400)
@pytest.mark.parametrize("launcher", ["torch.distributed.run", "accelerate.commands.launch"])
def test_several_processes_train_what_was_laid_out_and_the_daemon_takes_it_over(learner, launcher):
    prepared = learner.type(*TEACH[:-1], "--prepare", "--json", "--epochs", "4").document()
    job = prepared["job"]["id"]
    learner.type("jobs", "resume", job)
    until(lambda: learner.type("jobs", "show", job, "--json").document()["state"] == "failed", within_s=30)
    (command,) = [one for one in prepared["commands"] if launcher in one]
    told = subprocess.run(shlex.split(command), env=learner.env, capture_output=True, text=True)
    assert told.returncode == 0, told.stdout + told.stderr
    learner.type("jobs", "resume", job)
    until(lambda: learner.type("jobs", "show", job, "--json").document()["state"] == "done", within_s=60)
    (adapter,) = learner.type("adapters", "list", "--json").document()["adapters"]
    assert adapter["name"] == "lab" and adapter["status"] in ("active", "candidate")
