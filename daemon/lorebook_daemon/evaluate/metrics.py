"""All metrics by name, to read what a figure says and which way is better.

To add one: a function, and a line in the dict of its task. It takes what an item of that task comes to, and returns a
number, None where it does not apply; the rest follows: it is measured, kept, reported, compared, and fails a gate.
"""

from __future__ import annotations

from collections import ChainMap
from typing import Any

from lorebook_daemon.evaluate import diversity, exact, judge, multiple_choice, rag, stereotypes, voting
from lorebook_daemon.evaluate.metric import Better, Metric

METRICS: ChainMap[str, Metric[Any, Any]] = ChainMap(
    multiple_choice.METRICS,
    judge.METRICS,
    *(form.metrics for form in exact.FORMATS.values()),
    rag.METRICS,
    rag.OVER_ALL,
    stereotypes.METRICS,
    diversity.METRICS,
    voting.METRICS,
)
"""The dicts of all tasks; one name says the same in each that has it."""


def says(name: str) -> str:
    """Return what a figure is; empty for one that is known no more, or is told of a part of the items."""
    return METRICS[name].says if name in METRICS else ""


def better(name: str) -> Better:
    """Return which way a figure is better; of one that is unknown more is."""
    return METRICS[name].better if name in METRICS else "higher"
