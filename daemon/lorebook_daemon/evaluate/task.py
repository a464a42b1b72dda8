"""A task: items that are measured one by one, each under a name of its own. The rest is the same for all of them.

To add one: a small class with `Task`'s members (`RowTask` has them where items are rows of a file), and a dict of what
is measured of each item (`metric.Metric`); where it is to be typed, a route in `app/evaluating.py` and a command.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from lorebook_api.asking import AdapterUse
from lorebook_api.errors import BadRequest, TooLong
from lorebook_api.evaluation import Figure, Skipped
from lorebook_daemon.engine.protocol import Engine
from lorebook_daemon.evaluate.pool import AT_ONCE, Report, pooled
from lorebook_daemon.evaluate.statistics import bootstrap
from lorebook_daemon.evaluate.store import Outcome


@dataclass(frozen=True)
class Subject:
    """What is measured: a model in memory, and the adapters that act on it."""

    engine: Engine
    adapters: tuple[AdapterUse, ...] = ()


class Task(Protocol):
    """Items, and how each is measured."""

    @property
    def ids(self) -> Sequence[str]:
        """A name for each item, all different: by it two runs are compared."""
        ...

    @property
    def stage(self) -> str:
        """What is done with an item, for the progress bar."""
        ...

    def row(self, place: int) -> int:
        """Return where an item stands in its file, from 1."""
        ...

    async def measure(self, place: int, subject: Subject) -> Outcome:
        """Return what an item comes to; raises BadRequest or TooLong where it cannot be measured."""
        ...


class Numbered(Protocol):
    """What stands in a row of a file."""

    @property
    def row(self) -> int:
        """Which row, from 1."""
        ...


Item = TypeVar("Item", bound=Numbered)


@dataclass(frozen=True)
class RowTask(Generic[Item]):
    """What the tasks have in common whose items are rows of a file, each under the number of its row."""

    items: Sequence[Item]

    @property
    def ids(self) -> tuple[str, ...]:
        """The numbers of the rows."""
        return tuple(str(item.row) for item in self.items)

    def row(self, place: int) -> int:
        """Return where an item stands."""
        return self.items[place].row


@dataclass(frozen=True)
class Measured:
    """What the items came to, by id in the order of the task, and those that could not be measured."""

    outcomes: Mapping[str, Outcome]
    skipped: tuple[Skipped, ...]

    def values(self, metric: str) -> list[float]:
        """Return a metric of all items that have it."""
        return [one.scores[metric] for one in self.outcomes.values() if metric in one.scores]

    def figures(self) -> dict[str, Figure]:
        """Return the mean of each metric with its bootstrap interval."""
        names = dict.fromkeys(name for one in self.outcomes.values() for name in one.scores)
        return {name: mean_figure(self.values(name)) for name in names}

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be known of items that were measured all the same: why they scored nothing, say."""
        return tuple(f"item {name}: {one.note}" for name, one in self.outcomes.items() if one.note)


async def run_task(
    task: Task,
    subject: Subject,
    report: Report,
    known: Mapping[str, Outcome],
    keep: Callable[[str, Outcome], None],
    at_once: int = AT_ONCE,
) -> Measured:
    """Measure all items but the `known` ones; `keep` takes each as soon as it is done, in a thread of its own.

    Raises BadRequest where nothing could be measured.
    """

    async def one(place: int) -> Outcome:
        name = task.ids[place]
        if name in known:
            return known[name]
        outcome = await task.measure(place, subject)
        await asyncio.shield(asyncio.to_thread(keep, name, outcome))  # what was measured is kept, whoever hangs up
        return outcome

    found = await pooled(one, range(len(task.ids)), task.stage, report, at_once)
    outcomes = {name: one for name, one in zip(task.ids, found, strict=True) if isinstance(one, Outcome)}
    skipped = tuple(
        Skipped(task.row(place), str(why)) for place, why in enumerate(found) if isinstance(why, BadRequest | TooLong)
    )
    if not outcomes:
        why = skipped[0].why if skipped else "there are none."
        raise BadRequest(f"no item could be measured: {why}", "See the shapes in docs/evaluation.md.")
    return Measured(outcomes, skipped)


def mean_figure(values: Sequence[float]) -> Figure:
    """Return a mean with its bootstrap interval; raises ValueError where there is none."""
    interval = bootstrap(values)
    return Figure(interval.value, interval.low, interval.high, len(values))
