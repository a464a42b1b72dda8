"""Two runs, item by item: what differs beyond chance, and what does not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from lorebook_api.errors import BadRequest
from lorebook_api.evaluation import Compared, Comparison, EvalRun, Figure
from lorebook_daemon.evaluate.metrics import better
from lorebook_daemon.evaluate.overlap import told
from lorebook_daemon.evaluate.statistics import bootstrap
from lorebook_daemon.evaluate.store import Outcome

Outcomes = Mapping[str, Outcome]

_FEW = 20
"""Items below which an interval by resampling is too narrow to lean on."""


def compare(first: EvalRun, second: EvalRun, of_first: Outcomes, of_second: Outcomes) -> Comparison:
    """Return the paired differences of all figures that both runs have, over the items that both have.

    Raises BadRequest where they measure different things, or share no item.
    """
    if first.kind != second.kind:
        told = f"{first.id} measures {first.kind} and {second.id} {second.kind}."
        raise BadRequest(told, "Compare two runs of one kind: `lorebook eval list`.")
    shared = [name for name in of_first if name in of_second]
    if not shared:
        raise BadRequest(f"{first.id} and {second.id} share no item.", "Compare runs over the same questions.")
    pairs = [(of_first[name].scores, of_second[name].scores) for name in shared]
    names = dict.fromkeys(name for one, other in pairs for name in one if name in other)
    figures = tuple(
        _compared(name, [(a[name], b[name]) for a, b in pairs if name in a and name in b]) for name in names
    )
    gone, lost = _gone((first, of_first), (second, of_second)), len(of_first) - len(shared)
    notices = (*_conditions(first, second), *_notices(of_first, of_second, len(shared)), *_taught(first, second))
    return Comparison(first, second, figures, _changed(first, second), notices, gone, lost)


def _compared(name: str, pairs: list[tuple[float, float]]) -> Compared:
    interval = bootstrap([b - a for a, b in pairs])
    difference = Figure(interval.value, interval.low, interval.high, len(pairs))
    means = (sum(a for a, _ in pairs) / len(pairs), sum(b for _, b in pairs) / len(pairs))
    return Compared(name, *means, difference, _verdict(name, difference))


def _verdict(name: str, difference: Figure) -> Literal["better", "worse", "no difference shown", "cost"]:
    """Return what a difference says; one whose interval holds 0 says nothing."""
    if better(name) == "neither":
        return "cost"
    if difference.low <= 0 <= difference.high:
        return "no difference shown"
    return "better" if (difference.value > 0) == (better(name) == "higher") else "worse"


def _changed(first: EvalRun, second: EvalRun) -> tuple[str, ...]:
    def differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
        names = dict.fromkeys((*one, *other))
        return [f"{name}: {one.get(name)} → {other.get(name)}" for name in names if one.get(name) != other.get(name)]

    return (*differing(first.config, second.config), *differing(first.versions, second.versions))


def _gone(first: tuple[EvalRun, Outcomes], second: tuple[EvalRun, Outcomes]) -> tuple[str, ...]:
    """Return the figures of the first run that the second lacks; a run that is unfinished has those of its items."""

    def names(run: EvalRun, outcomes: Outcomes) -> dict[str, None]:
        return dict.fromkeys((*run.figures, *(name for one in outcomes.values() for name in one.scores)))

    there = names(*second)
    missing = [name for name in names(*first) if name not in there]
    return tuple(name for name in missing if better(name) != "neither")


def _conditions(first: EvalRun, second: EvalRun) -> list[str]:
    """Return why the two runs are no fair pair, where they are none."""
    unfinished = [f"{run.id} is unfinished." for run in (first, second) if run.state != "done"]
    other = first.config.get("data") != second.config.get("data")
    return [*unfinished, *(["The two runs were made over different data."] if other else [])]


def _taught(first: EvalRun, second: EvalRun) -> list[str]:
    return [f"{run.id}: {told(overlap)}" for run in (first, second) for overlap in run.overlaps]


def _notices(of_first: Outcomes, of_second: Outcomes, shared: int) -> tuple[str, ...]:
    notices = []
    alone = len(of_first) + len(of_second) - 2 * shared
    if alone:
        notices.append(f"{alone} items stand in one of the runs only, and are left out.")
    if shared < _FEW:
        notices.append(f"{shared} items are few: the intervals are narrower than they should be.")
    return tuple(notices)
