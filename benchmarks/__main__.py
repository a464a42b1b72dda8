"""Runs the benchmarks that are named, or all of them: `python -m benchmarks [NAME]... [--model MODEL] [--quick]`."""

from __future__ import annotations

import subprocess
import sys
from itertools import takewhile

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
    "panel",
    "teach_facts",
    "teach_speed",
    "teach_dpo",
)
ON_REQUEST = ("repair", "lm_eval_scores", "choices")
"""What only helps to choose a constant, or wants an environment of its own."""


def main() -> int:
    """Run each in a process of its own, one after another; return the first status that is not 0.

    What follows the names goes to each of them.
    """
    named = list(takewhile(lambda word: not word.startswith("-"), sys.argv[1:]))
    unknown = [name for name in named if name not in (*NAMES, *ON_REQUEST)]
    if unknown:
        there_are = " ".join((*NAMES, *ON_REQUEST))
        print(f"There is no benchmark {unknown[0]!r}; there are: {there_are}", file=sys.stderr)
        return 2
    for name in named or NAMES:
        print(f"\n== {name}", flush=True)
        command = [sys.executable, "-m", f"benchmarks.{name}", *sys.argv[1 + len(named) :]]
        code = subprocess.run(command, check=False).returncode
        if code:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
