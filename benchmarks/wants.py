"""What a benchmark wants beside the product: a file or folder that a variable names, or packages."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lorebook_daemon.teach.needs import WANTED, missing


@dataclass(frozen=True)
class Want:
    """Something that may not be here; `lacking` returns what to say of it then, and nothing where it is."""

    lacking: Callable[[], str]
    part: str = ""
    """What is left out without it; empty: all of the benchmark."""


def variable(name: str, what: str, part: str = "") -> Want:
    """Want what a variable names: a file, a folder, or a program."""

    def lacking() -> str:
        value = os.environ.get(name, "")
        if value and (Path(value).exists() or shutil.which(value)):
            return ""
        there = f", and {value} is not there" if value else ""
        return f"{name} is to name {what}{there}"

    return Want(lacking, part)


def packages(names: Sequence[str], install: str, part: str = "") -> Want:
    """Want packages, brought by what is said to be typed."""

    def lacking() -> str:
        gone = missing(names)
        return f"{', '.join(gone)}: {install}" if gone else ""

    return Want(lacking, part)


_TRAIN = packages(WANTED, "pip install 'lorebook[train]'")
_GROUP = "pip install --group bench"
_REPOSITORIES = "a folder with annotations.txt and the prepared repositories"

WANTS: dict[str, tuple[Want, ...]] = {
    "parity": (variable("LOREBOOK_BENCH", _REPOSITORIES, "the questions about code"),),
    "training": (packages(("torch",), _GROUP),),
    "scale": (packages(("semble", "bm25s"), _GROUP, "the comparison with them"),),
    "retrieval": (variable("LOREBOOK_BENCH", _REPOSITORIES, "the questions about code"),),
    "context": (variable("LOREBOOK_BENCH", _REPOSITORIES, "the questions about code"),),
    "judging": (variable("LOREBOOK_JUDGE_DATA", "a folder with judge-100.json and judge-100-scores.json"),),
    "teach_facts": (_TRAIN,),
    "teach_packed": (_TRAIN,),
    "teach_speed": (variable("LOREBOOK_INSTRUCTIONS", "a JSON file of instructions, Alpaca's shape"), _TRAIN),
    "teach_dpo": (variable("LOREBOOK_PREFERENCES", "a JSON file of preferences"), _TRAIN),
    "choices": (
        variable("LOREBOOK_LM_EVAL", "the Python of an environment with lm-eval[api], torch, transformers and gguf"),
    ),
}
"""What is told after a run of all, where it is not here: a benchmark that was passed over looks as if it had run."""


def runs(name: str) -> bool:
    """Return whether there is what a benchmark cannot do without."""
    return not any(want.lacking() for want in WANTS.get(name, ()) if not want.part)


def passed_over(names: Sequence[str]) -> list[str]:
    """Return a line for each thing that is wanted and not here: what is passed over, and what to bring."""
    return [
        f"{name}{f' ({want.part})' if want.part else ''}: {told}"
        for name in names
        for want in WANTS.get(name, ())
        if (told := want.lacking())
    ]
