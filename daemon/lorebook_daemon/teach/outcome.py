"""What a training left in its folder, whoever started it: a card and what it tells of, or nothing that can be used."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lorebook_daemon.models.json_file import read_object
from lorebook_daemon.models.taught import MODEL
from lorebook_daemon.teach.examples import read_examples
from lorebook_daemon.teach.job import TrainJob

ADAPTER = "adapter.gguf"
"""The adapter's file in the folder of the job that makes it; `models.taught.MODEL` is a model's."""


def outcome(folder: Path, job: TrainJob) -> dict[str, Any]:
    """Return the card of a training that came to its end; empty where it did not, or learnt from something else.

    Examples that were taken out of the folder since then (see `app.unlearning`) are something else.
    """
    card = read_object(folder / "card.json")
    made = (folder / ADAPTER).is_file() or (folder / MODEL).is_file()
    same = card.get("job") == job.id and card.get("base", {}).get("sha256") == job.sha256
    if not made or not same:
        return {}
    kept = [asdict(origin) for example in read_examples(folder / "examples.jsonl") for origin in example.origins]
    return card if all(cell in kept for cell in card.get("cells", ())) else {}


def launch_commands(folder: Path, processes: int = 2) -> tuple[str, str]:
    """Return what is typed to train the job in a folder by several processes on this machine: by torchrun, Accelerate.

    Accelerate starts several processes for what it takes for GPUs only; they train on the processor like any others.
    """
    count = str(processes)
    torchrun = ("torch.distributed.run", "--standalone", "--nproc-per-node", count)
    plain = ("--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no")
    accelerate = ("accelerate.commands.launch", "--multi_gpu", "--num_processes", count, *plain)
    trainer = ("-m", "lorebook_daemon.teach.child", "train", str(folder))
    first, second = (_typed((sys.executable, "-m", *launcher, *trainer)) for launcher in (torchrun, accelerate))
    return first, second


def _typed(words: Sequence[str]) -> str:
    return subprocess.list2cmdline(words) if sys.platform == "win32" else shlex.join(words)
