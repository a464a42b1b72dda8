"""What keeping the states below the lowest trained layer brings: seconds of three passes with it ÷ without it.

    python -m benchmarks.teach_frozen [--model NAME] [--methods METHOD,...] [--rounds N]

Questions of `facts/`: with their answers, or for the classifier as texts of four classes. Each way in a
process of its own, in turns. Where the machine has other work, the processors' seconds say more than the clock's.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.engine import find_model, parser
from benchmarks.verdict import say
from lorebook_api.teaching import TeachRequest, TrainSettings
from lorebook_daemon.engine.threads import BRIEF_SPIN, FreeCores
from lorebook_daemon.models.shelf import LocalModel
from lorebook_daemon.teach.compose import compose
from lorebook_daemon.teach.examples import Example, write_examples
from lorebook_daemon.teach.job import METHODS, TrainJob, write_job
from lorebook_daemon.teach.needs import missing
from lorebook_daemon.teach.plan import Plan, lay_out

FACTS = Path(__file__).parent / "facts" / "facts.jsonl"
EPOCHS, ROUNDS, ROWS, QUICK_ROWS = 3, 3, 24, 8
WAYS = ("without", "with")
_LAYERS = {"lora": 2}
"""Of those methods that train all where nothing is said."""
_APART = 0.01
"""How far the losses of both ways may be from each other: rows of another make are rounded in another way."""


_FIGURES = (
    ("seconds", "seconds of the steps"),
    ("whole", "seconds with what is measured"),
    ("processor", "the same, of processors"),
)


def main() -> int:
    """Print the seconds of both ways, and their ratios."""
    options = parser(__doc__)
    options.set_defaults(model="smollm2-135m-instruct-q4_1")
    options.add_argument("--methods", default="last-layers,classifier,lora")
    options.add_argument("--rounds", type=int, default=ROUNDS)
    options.add_argument("--rows", type=int, default=ROWS)
    options.add_argument("--threads", type=int, default=FreeCores().count())
    options.add_argument("--way", choices=WAYS, help="measure this one, here")
    chosen = options.parse_args()
    if missing():
        print(f"{' and '.join(missing())} is not here, so nothing is taught: pip install 'lorebook[train]'")
        return 0
    if chosen.quick:
        chosen.rows, chosen.rounds = QUICK_ROWS, 1
    methods = chosen.methods.split(",")
    if chosen.way:
        print(json.dumps(_measure(methods[0], chosen)))
        return 0
    for method in methods:
        _compare(method, chosen)
    return 0


def _compare(method: str, chosen: Namespace) -> None:
    found: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
    for _ in range(chosen.rounds):
        for way in WAYS:
            found[way].append(_run(method, way, chosen))
            one = found[way][-1]
            print(
                f"{method:11} {way:7} {one['seconds']:6.1f} s in {one['steps']} steps; {one['whole']:6.1f} s with "
                f"what is measured, {one['processor']:6.1f} s of processors; loss {one['loss']:.4f}",
                flush=True,
            )
    without, kept = (found[way][0] for way in WAYS)
    if not math.isclose(without["loss"], kept["loss"], rel_tol=_APART):
        raise RuntimeError("the two ways come to different losses")
    for name, unit in _FIGURES:
        before, now = (median(one[name] for one in found[way]) for way in WAYS)
        say(f"{method}: {unit}, with ÷ without", now / before)


def _run(method: str, way: str, chosen: Namespace) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.teach_frozen", "--way", way]
    command += ["--model", chosen.model, "--methods", method]
    command += ["--rows", str(chosen.rows), "--threads", str(chosen.threads)]
    told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, **BRIEF_SPIN})
    one: dict[str, Any] = json.loads(told.stdout.splitlines()[-1])
    return one


def _measure(method: str, chosen: Namespace) -> dict[str, float]:
    import torch  # of what training needs alone

    from lorebook_daemon.teach.batches import Prefixes
    from lorebook_daemon.teach.estimate import below_bytes, prefix_bytes
    from lorebook_daemon.teach.loop import Training
    from lorebook_daemon.teach.methods import TRAINERS
    from lorebook_daemon.teach.precision import multiplies_bfloat16
    from lorebook_daemon.teach.teacher import load, schedule

    model = find_model(chosen.model)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        job, plan = _lay_out(folder, model, method, chosen)
        torch.set_num_threads(job.threads)
        base = load(model.path, plan.shape, torch.bfloat16 if multiplies_bfloat16() else torch.float32)
        prefixes = Prefixes(base, prefix_bytes())
        objective = TRAINERS[method].prepare(base, job, plan, prefixes)
        training = Training(
            base, objective, plan.variants, plan.held_out, schedule(job, plan), folder / "checkpoint.pt"
        )
        prefixes.keep_below(training.batches(), below_bytes() if chosen.way == "with" else 0)
        began, processor = time.perf_counter(), time.process_time()
        at = training.run()
        whole, processor = time.perf_counter() - began, time.process_time() - processor
    last = [loss for _, loss in at.loss[-training.steps_a_pass :]]
    loss = sum(last) / len(last)
    return {"seconds": at.seconds, "processor": processor, "whole": whole, "steps": at.step, "loss": loss}


def _lay_out(folder: Path, model: LocalModel, method: str, chosen: Namespace) -> tuple[TrainJob, Plan]:
    layers = _LAYERS.get(method, METHODS[method].layers)
    settings = TrainSettings(epochs=EPOCHS, batch=4, layers=layers, held_out=0.1)
    job = TrainJob(
        "bench", "bench", model.name, str(model.path), "", method, "chat", "auto", ("",), chosen.threads, settings
    )
    examples = _examples(folder, settings, METHODS[method].learns == "labels")[: chosen.rows]
    write_job(folder, job)
    write_examples(folder / "examples.jsonl", examples)
    return job, lay_out(job, examples)


def _examples(folder: Path, settings: TrainSettings, labelled: bool) -> list[Example]:
    """Return the questions as examples, each in its own words alone."""
    rows = []
    for line in FACTS.read_text(encoding="utf-8").splitlines():
        fact = json.loads(line)
        asked = "\n".join((fact["question"], *fact["choices"]))
        right = fact["choices"][fact["answer"]]
        rows.append(
            {"text": asked, "label": "ABCD"[fact["answer"]]} if labelled else {"question": asked, "answer": right}
        )
    file = folder / "rows.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    keep = ("near-duplicate", "low-quality")
    request = TeachRequest(data=(str(file),), method="lora", settings=settings, keep=keep)
    return [replace(example, wordings=()) for example in compose(request)]


if __name__ == "__main__":
    raise SystemExit(main())
