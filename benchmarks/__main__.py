"""Runs the benchmarks that are named, or all of them: `python -m benchmarks [NAME]... [--model MODEL] [--quick]`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from itertools import takewhile

from benchmarks.wants import passed_over, runs

NAMES = (
    "first_token",
    "parity",
    "throughput",
    "speculation",
    "users",
    "long_prompt",
    "training",
    "context_growth",
    "indexing",
    "scale",
    "freshness",
    "retrieval",
    "notebook_retrieval",
    "linked_retrieval",
    "rerank",
    "context",
    "answers",
    "injection",
    "abstaining",
    "grounding",
    "judging",
    "choices",
    "panel",
    "teach_facts",
    "teach_packed",
    "teach_speed",
    "teach_dpo",
    "teach_frozen",
)
ON_REQUEST = ("repair", "lm_eval_scores")
"""What only helps to choose a constant, or says nothing that another benchmark does not."""


def main() -> int:
    """Run each in a process of its own, one after another; return the first status that is not 0.

    What follows the names goes to each of them. Of a run of all those are passed over that want what is not here, and
    told at the end.
    """
    named = list(takewhile(lambda word: not word.startswith("-"), sys.argv[1:]))
    unknown = [name for name in named if name not in (*NAMES, *ON_REQUEST)]
    if unknown:
        there_are = " ".join((*NAMES, *ON_REQUEST))
        print(f"There is no benchmark {unknown[0]!r}; there are: {there_are}", file=sys.stderr)
        return 2
    if named:
        return _run(named, sys.argv[1 + len(named) :])
    code = _run([name for name in NAMES if runs(name)], sys.argv[1:])
    if lacking := passed_over(NAMES):
        print("\n== passed over, for want of", *lacking, sep="\n", flush=True)
    return code


def _run(names: Sequence[str], options: Sequence[str]) -> int:
    for name in names:
        print(f"\n== {name}", flush=True)
        code = subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *options], check=False).returncode
        if code:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
