"""The evaluation room, as it is handed to the routes: a task is measured, and the store keeps what it came to."""

from __future__ import annotations

import asyncio
import copy
import hashlib
import json
import platform
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lorebook_api.arena import Standings
from lorebook_api.asking import AdapterUse
from lorebook_api.errors import Conflict
from lorebook_api.evaluation import EvalReport, EvalRun, Figure, Skipped
from lorebook_api.home import Home
from lorebook_api.teaching import ENDED, JobInfo
from lorebook_api.version import VERSION
from lorebook_daemon.app.doings import Doings
from lorebook_daemon.app.engines import Report
from lorebook_daemon.evaluate import overlap
from lorebook_daemon.evaluate.arenastore import ArenaStore
from lorebook_daemon.evaluate.pool import AT_ONCE
from lorebook_daemon.evaluate.ratings import standings
from lorebook_daemon.evaluate.store import Begun, Call, Outcome, RunStore
from lorebook_daemon.evaluate.task import Measured, Subject, Task, run_task
from lorebook_daemon.models.adapters import adapters_folder
from lorebook_daemon.models.identity import identity
from lorebook_daemon.models.shelf import LocalModel

ARENA = "arena"
"""The kind of the runs in which a judge votes."""

Figures = Callable[[Measured], dict[str, Figure]]
"""Makes figures of a whole set out of its items."""


@dataclass(frozen=True)
class Measurement:
    """What is to be measured, and all that its figures depend on beside the model and its adapters."""

    kind: str
    file: Path
    """The data; two files with the same content are the same."""
    task: Task
    config: dict[str, Any]
    tested: Sequence[str]
    """The text of each item, to be looked for in what the adapters were taught."""
    skipped: tuple[Skipped, ...] = ()
    at_once: int = AT_ONCE
    notices: tuple[str, ...] = ()
    reuse: bool = False
    """Whether the same one that was finished is returned, and nothing measured."""


@dataclass(frozen=True)
class Taken:
    """The model and the adapters that a measurement is about, in memory."""

    model: LocalModel
    subject: Subject


@dataclass(frozen=True)
class Going:
    """A run in hand."""

    run: str
    known: dict[str, Outcome]
    """What was measured of it before."""
    report: Report
    """Takes how far it is."""


class EvalRoom:
    """The stores of one home, and how a measurement is taken into them."""

    def __init__(self, home: Home, doings: Doings) -> None:
        self.home, self._doings = home, doings
        self.runs = RunStore(home.state)
        self.arena = ArenaStore(home.state)
        self._call: Call | None = None
        self._resumes = ""

    def asked(self, call: Call, resumes: str = "") -> EvalRoom:
        """Return this room as who asks by `call` is to have it: that is kept with what is measured.

        Where a run is named that it `resumes`, whatever would be another one is refused with Conflict.
        """
        room = copy.copy(self)
        room._call, room._resumes = call, resumes
        return room

    async def measure(
        self, what: Measurement, taken: Taken, report: Report, figures: Figures = Measured.figures
    ) -> tuple[EvalReport, Measured]:
        """Measure a task's items, those of an unfinished run of the same kind excepted; keep it and return it."""
        adapters = taken.subject.adapters
        begun = await asyncio.to_thread(self.begun, what.kind, what.file, what.config, taken.model, adapters)
        again = await asyncio.to_thread(self.runs.finished, begun) if what.reuse and not self._resumes else None
        if again is not None:
            outcomes = await asyncio.to_thread(self.runs.outcomes, again.id)
            return _told_again(again, taken), Measured(outcomes, ())
        async with self.going_on(begun, report) as going:
            return await self._measured(going, what, taken, figures)

    @asynccontextmanager
    async def going_on(self, begun: Begun, report: Report) -> AsyncGenerator[Going, None]:
        """Have a run in hand for the block: a new one, or the same one where it was begun and not finished."""
        run = await asyncio.to_thread(self._begin, begun)
        with self._doings.entered("eval", f"{begun.kind} {begun.name}", report, run) as heard:
            yield Going(run, await asyncio.to_thread(self.runs.outcomes, run), heard)

    async def _measured(
        self, going: Going, what: Measurement, taken: Taken, figures: Figures
    ) -> tuple[EvalReport, Measured]:
        run, known = going.run, going.known
        keep = partial(self.runs.keep, run)
        found = await run_task(what.task, taken.subject, going.report, known, keep, what.at_once)
        reached, skipped = figures(found), (*what.skipped, *found.skipped)
        model, adapters = taken.model.name, taken.subject.adapters
        overlaps = await asyncio.to_thread(overlap.overlaps, what.tested, adapters, self.home)
        went_on = (f"{len(known)} items were measured before this was interrupted.",) if known else ()
        notices = (*what.notices, *map(overlap.told, overlaps), *went_on, *found.notes)
        n = len(found.outcomes)
        await asyncio.to_thread(self.runs.finish, run, reached, n, skipped, notices, overlaps)
        return EvalReport(run, what.kind, what.file.name, reached, n, model, adapters, skipped, notices), found

    async def forget_votes(self) -> int:
        """Forget all battles, and the runs that would go on with some; return how many battles there were.

        Raises Conflict while a judge votes.
        """
        known = await asyncio.to_thread(self.runs.all)
        begun = [run.id for run in known if run.kind == ARENA and run.state != "done"]
        for job in self._doings.all():
            if job.id in begun and job.state not in ENDED:
                raise Conflict("A judge votes now.", f"End that first: lorebook jobs cancel {job.id}")
        for run in begun:
            await asyncio.to_thread(self.runs.delete, run)
        return await asyncio.to_thread(self.arena.clear)

    def standings(self) -> Standings:
        """Return the ratings of the arena, and what the sides' adapters were taught of the questions. Blocking."""
        fought = self.arena.fought()
        asked: dict[tuple[str, str], dict[str, None]] = {}
        for one in fought:
            for side, adapters in zip(one.sides, one.adapters, strict=True):
                for adapter in adapters:
                    asked.setdefault((side, adapter), {})[one.question] = None
        known = [
            f"{side}: {overlap.told(found)}"
            for (side, adapter), questions in asked.items()
            for found in overlap.overlaps(list(questions), [AdapterUse(adapter)], self.home)
        ]
        told = standings(fought)
        return replace(told, notices=(*told.notices, *known))

    def _begin(self, begun: Begun) -> str:
        """Return the id of the run to measure; raises Conflict where it is not the one that is to be resumed."""
        if self._resumes and self.runs.unfinished(begun) != self._resumes:
            before = self.runs.get(self._resumes)
            then, now = before.config | before.versions, json.loads(json.dumps(begun.config | begun.versions))
            changed = ", ".join(name for name in {**then, **now} if now.get(name) != then.get(name))
            told = f"{before.kind} {before.name} is another measurement by now; what changed: {changed or 'its end'}."
            raise Conflict(told, "Type its command: it begins anew.")
        return self.runs.begin(begun, self._call)

    def jobs(self) -> tuple[JobInfo, ...]:
        """Return the measurements that are kept as jobs; one that is unfinished was interrupted. Blocking."""
        return tuple(map(_as_job, self.runs.all()))

    def begun(
        self, kind: str, file: Path, config: dict[str, Any], model: LocalModel, adapters: Sequence[AdapterUse]
    ) -> Begun:
        """Return a measurement over a file as it begins, with all that its figures depend on. Blocking."""
        whole = {**self.subject(model, adapters), "data": _sha256(file), **config}
        return Begun(kind, file.name, whole, _versions())

    def subject(self, model: LocalModel, adapters: Sequence[AdapterUse]) -> dict[str, Any]:
        """Return what tells a model and its adapters from others. Blocking."""
        weights, acting = self._weights(model.path), [self._adapter(use) for use in adapters]
        return {"model": model.name, "weights": weights, "adapters": acting}

    def _weights(self, path: Path) -> str:
        """Return the model's sha256; empty for one that is served elsewhere."""
        return identity(path, self.home) if path.is_file() else ""

    def _adapter(self, use: AdapterUse) -> dict[str, Any]:
        file = adapters_folder(self.home) / f"{use.name}.gguf"
        return {**asdict(use), "weights": _sha256(file) if file.is_file() else ""}


def _told_again(run: EvalRun, taken: Taken) -> EvalReport:
    """Return the report of a run that was finished before."""
    when = run.ended[:16].replace("T", " ")
    notices = (f"Measured before, until {when} UTC, and not again: --anew measures it anew.", *run.notices)
    model, adapters = taken.model.name, taken.subject.adapters
    return EvalReport(run.id, run.kind, run.name, run.figures, run.n, model, adapters, run.skipped, notices)


def _as_job(run: EvalRun) -> JobInfo:
    name, result = f"{run.kind} {run.name}", {**{name: one.value for name, one in run.figures.items()}, "n": run.n}
    if run.state == "done":
        return JobInfo(run.id, "eval", name, "done", run.created, run.created, run.ended, "", result)
    return JobInfo(run.id, "eval", name, "interrupted", run.created, run.created, "", "`jobs resume` goes on with it")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _versions() -> dict[str, str]:
    engine = version("llama-cpp-python")
    return {"lorebook": VERSION, "llama-cpp-python": engine, "python": platform.python_version()}
