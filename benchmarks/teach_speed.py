"""Seconds of a training beside transformers' Trainer with PEFT: same rows, same order, same settings, in one run.

    LOREBOOK_INSTRUCTIONS=instructions.json python -m benchmarks.teach_speed [--peer PYTHON] [--only lora,rag,memory]

The file holds rows of instruction, input and output (Alpaca's shape). PYTHON is an interpreter with torch,
transformers, peft and accelerate; the default is this one. `lora`: the rows as they are. `rag`: each with some 600
tokens of sources before its question, by aLoRA. `memory`: the most memory of a LoRA of the 1.5B model on examples of
512 tokens.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import subprocess
import sys
import tempfile
import threading
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil

from benchmarks.engine import find_model, parser
from benchmarks.verdict import say
from lorebook_api.home import find_home
from lorebook_api.teaching import TeachRequest, TrainSettings
from lorebook_daemon.engine.threads import FreeCores
from lorebook_daemon.models.identity import identity
from lorebook_daemon.models.shelf import LocalModel
from lorebook_daemon.teach.compose import compose
from lorebook_daemon.teach.examples import Example, Turn, read_examples, write_examples
from lorebook_daemon.teach.job import METHODS, TrainJob, read_job, write_job
from lorebook_daemon.teach.loop import Schedule, rate, samples_of
from lorebook_daemon.teach.needs import missing
from lorebook_daemon.teach.plan import Plan, lay_out
from lorebook_daemon.teach.trainer import run_trainer

FILE = "LOREBOOK_INSTRUCTIONS"
ROWS, RAG_ROWS, EPOCHS = 200, 24, 2
SOURCE_TOKENS = 600
_CHARACTERS_A_TOKEN = 4.2


@dataclass(frozen=True)
class Run:
    """What one side came to."""

    seconds: float
    held_out: float
    memory_mb: float


class Idle:
    """Nobody who waits for an answer."""

    depth = 0

    async def wanted(self) -> None:
        """Wait for ever."""
        await asyncio.Event().wait()


def main() -> int:
    """Print seconds, losses and memory of both sides, and their ratios."""
    options = parser(__doc__)
    options.set_defaults(model="qwen2.5-coder-0.5b-instruct-q4_k_m")
    options.add_argument("--peer", default=sys.executable, metavar="PYTHON", help="the interpreter with transformers")
    options.add_argument("--precision", default="float32,bf16", help="of Trainer; float32 is its default")
    options.add_argument("--only", default="lora,rag,memory", help="which of the three")
    options.add_argument("--big", default="qwen2.5-coder-1.5b-instruct-q4_k_m", help="the model of `memory`")
    options.add_argument("--rows", type=int, default=ROWS)
    options.add_argument("--rag-rows", type=int, default=RAG_ROWS)
    chosen = options.parse_args()
    if missing():
        print(f"{' and '.join(missing())} is not here, so nothing is taught: pip install 'lorebook[train]'")
        return 0
    file = Path(os.environ.get(FILE, ""))
    if not file.is_file():
        print(f"Name a file of instructions, Alpaca's shape: {FILE}=instructions.json python -m benchmarks.teach_speed")
        return 0
    if chosen.quick:
        chosen.rows, chosen.rag_rows = 24, 8
    parts = {"lora": _lora, "rag": _rag, "memory": _memory}
    for name in chosen.only.split(","):
        parts[name](file, chosen)
    return 0


def _lora(file: Path, chosen: Namespace) -> None:
    model = find_model(chosen.model)
    examples = _examples(file, chosen.rows, EPOCHS)
    with tempfile.TemporaryDirectory() as folder:
        _beside(Path(folder), model, "lora", examples, chosen, at_most=0.5)


def _rag(file: Path, chosen: Namespace) -> None:
    model = find_model(chosen.model)
    rows = [f"{row['instruction']} {row['input']} {row['output']}" for row in json.loads(file.read_text("utf-8"))]
    examples = _examples(file, chosen.rag_rows, EPOCHS)
    with_sources = [_sourced(example, n, rows[chosen.rag_rows :]) for n, example in enumerate(examples)]
    with tempfile.TemporaryDirectory() as folder:
        _beside(Path(folder), model, "alora", with_sources, chosen, at_most=0.25)


def _memory(file: Path, chosen: Namespace) -> None:
    model = find_model(chosen.big)
    rows = [f"{row['instruction']} {row['input']} {row['output']}" for row in json.loads(file.read_text("utf-8"))]
    examples = [_sourced(example, n, rows, 440) for n, example in enumerate(_examples(file, 8, 1)[:8])]
    settings = _settings(1, batch=1)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        _write(folder, model, "lora", examples, settings)
        plan = lay_out(read_job(folder), read_examples(folder / "examples.jsonl"))
        longest = max(len(sample.tokens) for variants in plan.variants for sample in variants)
        ours = asyncio.run(_ours(folder))
    kept = "packed" if plan.estimate.packed else "unpacked"
    print(f"{model.name}: lora, {len(plan.variants)} examples of up to {longest} tokens, weights kept {kept}")
    say("peak memory, GB", ours.memory_mb / 1024, at_most=5)


def _examples(file: Path, rows: int, epochs: int) -> list[Example]:
    """Return the first rows as examples, a tenth of them held out, each in its own words alone."""
    with tempfile.TemporaryDirectory() as folder:
        part = Path(folder) / "rows.json"
        part.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8"))[:rows]), encoding="utf-8")
        composed = compose(TeachRequest(data=(str(part),), settings=_settings(epochs), keep=("near-duplicate",)))
    return [replace(example, wordings=()) for example in composed if not example.left_out]


def _sourced(example: Example, n: int, rows: Sequence[str], tokens: int = SOURCE_TOKENS) -> Example:
    """Return the example with sources before its question, other ones for each: texts of other rows."""
    text, at = "", 37 * n
    while len(text) < tokens * _CHARACTERS_A_TOKEN:
        text += f"<source notes-{at % len(rows)}.md>\n{rows[at % len(rows)]}\n</source>\n"
        at += 1
    *before, last = example.turns
    return replace(example, turns=(*before, Turn(last.role, f"{text}\n{last.content}")))


def _settings(epochs: int, batch: int = 4) -> TrainSettings:
    return TrainSettings(epochs=epochs, batch=batch, max_tokens=2048, held_out=0.1)


def _write(folder: Path, model: LocalModel, method: str, examples: Sequence[Example], settings: TrainSettings) -> None:
    sha256 = identity(model.path, find_home())
    threads = FreeCores().count()
    job = TrainJob(
        "bench", "bench", model.name, str(model.path), sha256, method, "chat", "auto", ("",), threads, settings
    )
    write_job(folder, job)
    write_examples(folder / "examples.jsonl", examples)


def _beside(
    folder: Path, model: LocalModel, method: str, examples: Sequence[Example], chosen: Namespace, at_most: float
) -> None:
    """Train on both sides and print how they compare."""
    _write(folder, model, method, examples, _settings(EPOCHS))
    job = read_job(folder)
    plan = lay_out(job, read_examples(folder / "examples.jsonl"))
    samples = [sample for variants in plan.variants for sample in variants]
    mean = sum(len(sample.tokens) for sample in samples) / len(samples)
    print(
        f"\n{model.name}, {method}: {len(plan.variants)} rows of {mean:.0f} tokens in the mean, {EPOCHS} passes, "
        f"batch {job.settings.batch}, {job.threads} threads",
        flush=True,
    )
    ours = asyncio.run(_ours(folder))
    print(
        f"{'ours':28} {ours.seconds:7.1f} s   held out {ours.held_out:.4f}   {ours.memory_mb / 1024:.1f} GB", flush=True
    )
    for precision in chosen.precision.split(","):
        theirs = _peer(folder, job, plan, chosen.peer, precision == "bf16")
        name = f"Trainer and PEFT, {precision}"
        print(f"{name:28} {theirs.seconds:7.1f} s   held out {theirs.held_out:.4f}   {theirs.memory_mb / 1024:.1f} GB")
        say(f"seconds, ours ÷ {name}, {method}", ours.seconds / theirs.seconds, at_most=at_most)
        say("held-out loss, ours ÷ theirs", ours.held_out / theirs.held_out, at_most=1.02)


async def _ours(folder: Path) -> Run:
    """Train as the daemon does, in its child process; watch how much memory that takes."""
    most = [0.0]
    stop = threading.Event()
    watching = threading.Thread(target=_watch, args=(most, stop), daemon=True)
    watching.start()
    card: dict[str, Any] = {}
    async for event in run_trainer("train", folder, Idle()):
        if event.name == "done":
            card = event.data
    stop.set()
    watching.join()
    held_out = card["curves"]["held_out_loss"]
    return Run(card["seconds"], held_out[-1][1] if held_out else math.nan, most[0])


def _watch(most: list[float], stop: threading.Event) -> None:
    """Keep the most memory (MB) that the trainer has; it is looked at fifty times a second."""
    while not stop.wait(0.02):
        for child in psutil.Process().children():
            try:
                most[0] = max(most[0], child.memory_info().rss / 2**20)
            except psutil.Error:
                continue


def _peer(folder: Path, job: TrainJob, plan: Plan, python: str, bf16: bool) -> Run:
    schedule = Schedule(plan.estimate.epochs, job.settings.batch, METHODS[job.method].learning_rate, job.settings.seed)
    steps = plan.estimate.steps
    rows = [sample for step in range(steps) for sample in samples_of(plan.variants, schedule, step)]
    work = {
        "model": job.path,
        "threads": job.threads,
        "rank": job.settings.rank,
        "alpha": job.settings.alpha,
        "targets": job.settings.targets,
        "invocation": plan.invocation,
        "learning_rate": schedule.learning_rate,
        "rates": [rate(step, steps) for step in range(steps)],
        "batch": schedule.batch,
        "bf16": bf16,
        "rows": [{"tokens": sample.tokens, "learnt": sample.learnt} for sample in rows],
        "held_out": [{"tokens": sample.tokens, "learnt": sample.learnt} for sample in plan.held_out[:64]],
    }
    (folder / "work.json").write_text(json.dumps(work), encoding="utf-8")
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    told = subprocess.run(
        [python, "-m", "benchmarks.peft_trainer", str(folder / "work.json")],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ).stdout
    return Run(**json.loads(told.splitlines()[-1]))


if __name__ == "__main__":
    raise SystemExit(main())
