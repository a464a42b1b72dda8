# ruff: noqa: E402 - what needs torch is imported where there is one
"""The same training by two processes as by one, as torchrun starts them."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

for wanted in ("torch", "peft"):
    pytest.importorskip(wanted, reason="training is tested where pip install 'lorebook[train]' was typed")

import gguf
import numpy as np

from lorebook_daemon.models.identity import identity
from lorebook_daemon.teach.examples import read_examples
from lorebook_daemon.teach.job import read_job
from lorebook_daemon.teach.plan import lay_out
from lorebook_daemon.teach.processes import ALONE, share
from lorebook_daemon.teach.teacher import Tell, teach

pytestmark = pytest.mark.train


def factors(path):
    return {tensor.name: np.array(tensor.data) for tensor in gguf.GGUFReader(path).tensors}


def curves(folder):
    return json.loads((folder / "card.json").read_text())["curves"]


def train_alone(folder):
    job = read_job(folder)
    plan = lay_out(job, read_examples(folder / "examples.jsonl"))
    teach(folder, job, plan, Tell(*[lambda told: None] * 3), lambda: None)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("layers", [0, 1])  # with one, each process keeps what the frozen one makes of its samples
def test_two_processes_come_to_what_one_comes_to_with_twice_the_batch(tmp_path, tiny_base, home, make_job, layers):
    settings = {"sha256": identity(tiny_base, home), "learning_rate": 0.02, "epochs": 4, "layers": layers}
    for name, batch in (("two", 1), ("one", 2), ("half", 1)):
        make_job(tmp_path / name, tiny_base, "lora", batch=batch, **settings)
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    command = [sys.executable, *launcher, "-m", "lorebook_daemon.teach.child", "train", str(tmp_path / "two")]
    two = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert two.returncode == 0, two.stdout + two.stderr
    assert two.stdout.count('"event": "done"') == 1
    train_alone(tmp_path / "one")
    train_alone(tmp_path / "half")
    one, both, half = (factors(tmp_path / name / "adapter.gguf") for name in ("one", "two", "half"))
    assert one.keys() == both.keys()
    apart = max(float(np.abs(one[name] - both[name]).max()) for name in one)
    other = max(float(np.abs(one[name] - half[name]).max()) for name in one)
    # Adam makes of a gradient's rounding, where it is near 0, a step of full size: some numbers drift a little.
    assert apart < other / 5, (apart, other)
    losses = [[loss for _, loss in curves(tmp_path / name)["loss"]] for name in ("one", "two")]
    assert np.allclose(*losses, rtol=0.005)


def test_each_process_has_its_share_and_none_is_lost():
    class Second:
        rank, size = 1, 2

    samples = list(range(5))
    assert share(samples, ALONE) == samples
    assert share(samples, Second()) == [1, 3] and share([7], Second()) == []
