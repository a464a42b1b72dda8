"""Weights kept as the file packs them, beside weights kept unpacked: memory and seconds of a LoRA step.

    python -m benchmarks.teach_packed [--model NAME] [--tokens N]

Each way in a process of its own, twice in turns. Both come to the same numbers, bit by bit; which one a training takes
is decided by the memory that is free (`teach.estimate`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import psutil

from benchmarks.engine import find_model, parser
from benchmarks.verdict import say
from lorebook_api.teaching import TrainSettings
from lorebook_daemon.engine.threads import BRIEF_SPIN, FreeCores
from lorebook_daemon.teach.needs import missing

_STEPS = 3


def main() -> int:
    """Print memory and seconds of both ways, and their ratios."""
    options = parser(__doc__)
    options.set_defaults(model="qwen2.5-coder-1.5b-instruct-q4_k_m")
    options.add_argument("--tokens", type=int, default=512)
    options.add_argument("--way", choices=("plain", "packed"), help="measure this one, here")
    chosen = options.parse_args()
    if missing():
        print(f"{' and '.join(missing())} is not here, so nothing is taught: pip install 'lorebook[train]'")
        return 0
    path = find_model(chosen.model).path
    if chosen.way:
        print(json.dumps(_measure(path, chosen.tokens, packed=chosen.way == "packed")))
        return 0
    found: dict[str, list[dict[str, float]]] = {"plain": [], "packed": []}
    for way in ("plain", "packed", "plain", "packed"):
        command = [sys.executable, "-m", "benchmarks.teach_packed", "--way", way]
        command += ["--model", chosen.model, "--tokens", str(chosen.tokens)]
        told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, **BRIEF_SPIN})
        one = json.loads(told.stdout.splitlines()[-1])
        found[way].append(one)
        print(f"{way:7} {one['seconds']:6.2f} s a step of {chosen.tokens} tokens, {one['memory_mb'] / 1024:.2f} GB")
    if found["plain"][0]["loss"] != found["packed"][0]["loss"]:
        raise RuntimeError("the two ways come to different losses")
    for name, unit in (("seconds", "seconds of a step"), ("memory_mb", "memory")):
        plain, packed = (median(one[name] for one in found[way]) for way in ("plain", "packed"))
        say(f"{unit}, packed ÷ plain", packed / plain)
    say("memory packed, GB", max(one["memory_mb"] for one in found["packed"]) / 1024, at_most=5)
    return 0


def _measure(path: Path, tokens: int, *, packed: bool) -> dict[str, float]:
    import torch  # of what training needs alone

    from lorebook_daemon.teach.lowrank import inject, lora_config
    from lorebook_daemon.teach.model import causal
    from lorebook_daemon.teach.precision import multiplies_bfloat16
    from lorebook_daemon.teach.teacher import load
    from lorebook_daemon.teach.weights import read_shape

    torch.set_num_threads(FreeCores().count())
    shape = read_shape(path)
    model = load(path, shape, torch.bfloat16 if multiplies_bfloat16() else torch.float32, packed=packed)
    model.thrifty = True
    inject(model, lora_config(shape, TrainSettings(), ()), seed=0)
    torch.manual_seed(0)
    row = torch.randint(shape.vocabulary, (1, tokens))
    spent, most = [], 0
    for _ in range(_STEPS):
        began = time.perf_counter()
        hidden, _ = model(row, torch.arange(tokens)[None], causal(tokens))
        loss = torch.nn.functional.cross_entropy(model.logits(hidden[0, -41:-1]), row[0, -40:])
        most = max(most, psutil.Process().memory_info().rss)
        loss.backward()
        spent.append(time.perf_counter() - began)
        most = max(most, psutil.Process().memory_info().rss)
    return {"seconds": min(spent), "memory_mb": most / 2**20, "loss": float(loss)}


if __name__ == "__main__":
    raise SystemExit(main())
