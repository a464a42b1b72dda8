"""Preferences learnt by DPO: of pairs that were kept back, how many the model then has the right way round.

    LOREBOOK_PREFERENCES=preferences.json python -m benchmarks.teach_dpo [--rows 300] [--measured 200]

The file holds rows of instruction (or prompt), chosen and rejected. The first rows are learnt from, the next measured
with. Two figures: how often the chosen answer is the likelier, which the base has too; and how often the adapter moved
it up against the rejected one (the paper's implicit reward), which is one half for what has learnt nothing.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.engine import find_model, parser
from benchmarks.verdict import say
from lorebook_api.home import find_home
from lorebook_api.teaching import TeachRequest, TrainSettings
from lorebook_daemon.engine.threads import FreeCores
from lorebook_daemon.models.identity import identity
from lorebook_daemon.teach.compose import compose
from lorebook_daemon.teach.examples import Example
from lorebook_daemon.teach.job import TrainJob
from lorebook_daemon.teach.material import suited
from lorebook_daemon.teach.needs import missing
from lorebook_daemon.teach.plan import Plan, lay_out

FILE = "LOREBOOK_PREFERENCES"
KEPT = ("duplicate", "near-duplicate", "secret", "low-quality")
"""Nothing but pairs of equal answers is left out: the rows are what they are."""


def main() -> int:
    """Print both figures before and after."""
    options = parser(__doc__)
    options.set_defaults(model="qwen2.5-coder-0.5b-instruct-q4_k_m")
    options.add_argument("--rows", type=int, default=300)
    options.add_argument("--measured", type=int, default=200)
    options.add_argument("--epochs", type=int, default=2)
    options.add_argument("--learning-rate", type=float, default=0.0, help="0 takes the method's own")
    chosen = options.parse_args()
    file = Path(os.environ.get(FILE, ""))
    if not file.is_file() or missing():
        print(f"Name a file of preferences, with torch and peft at hand: {FILE}=preferences.json …")
        return 0
    if chosen.quick:
        chosen.rows, chosen.measured = 40, 40
    with tempfile.TemporaryDirectory() as folder:
        _measure(file, Path(folder), chosen)
    return 0


def _measure(file: Path, folder: Path, chosen: Namespace) -> None:
    model = find_model(chosen.model)
    settings = TrainSettings(epochs=chosen.epochs, held_out=0.0, learning_rate=chosen.learning_rate)
    rows = json.loads(file.read_text(encoding="utf-8"))[: chosen.rows + chosen.measured]
    learnt, measured = (_examples(part, folder, settings) for part in (rows[: chosen.rows], rows[chosen.rows :]))
    sha256 = identity(model.path, find_home())
    job = TrainJob(
        *("bench", "bench", model.name, str(model.path), sha256, "dpo", "chat", "auto", ("",)),
        threads=FreeCores().count(),
        settings=settings,
    )
    plan = lay_out(job, [*learnt, *(replace(example, held_out=True) for example in measured)])
    print(f"{model.name}: {len(plan.variants)} pairs learnt from, {len(plan.held_out)} measured with", flush=True)
    _train(folder, job, plan)


def _examples(rows: Sequence[object], folder: Path, settings: TrainSettings) -> list[Example]:
    part = folder / "rows.json"
    part.write_text(json.dumps(rows), encoding="utf-8")
    composed = compose(TeachRequest(data=(str(part),), settings=settings, keep=KEPT))
    used = suited([example for example in composed if not example.left_out], "pairs")
    return [replace(example, wordings=()) for example in used if not example.left_out]


def _train(folder: Path, job: TrainJob, plan: Plan) -> None:
    import torch  # of what training needs alone

    from lorebook_daemon.teach.batches import Prefixes
    from lorebook_daemon.teach.estimate import prefix_bytes
    from lorebook_daemon.teach.loop import Training
    from lorebook_daemon.teach.precision import multiplies_bfloat16
    from lorebook_daemon.teach.preferences import Preferences
    from lorebook_daemon.teach.teacher import load, schedule

    torch.set_num_threads(job.threads)
    dtype = torch.bfloat16 if multiplies_bfloat16() else torch.float32
    model = load(Path(job.path), plan.shape, dtype, packed=plan.estimate.packed)
    objective = Preferences().prepare(model, job, plan, Prefixes(model, prefix_bytes()))
    training = Training(model, objective, plan.variants, (), schedule(job, plan), folder / "checkpoint.pt")
    before = training.right(plan.held_out)
    began = time.perf_counter()
    at = training.run()
    seconds = time.perf_counter() - began
    print(f"{at.step} steps in {seconds:.0f} s, loss {at.loss[0][1]:.3f} to {at.loss[-1][1]:.3f}", flush=True)
    after, moved = training.right(plan.held_out), objective.preferred(plan.held_out)
    base, taught = sum(before) / len(before), sum(after) / len(after)
    say("the chosen answer is the likelier, base", base, at_least=0.0)
    say("the chosen answer is the likelier, after dpo", taught, at_least=0.65)
    say("after − before", taught - base, at_least=0.01)
    say("moved up against the rejected one (implicit reward)", sum(moved) / len(moved), at_least=0.65)


if __name__ == "__main__":
    raise SystemExit(main())
