"""Long work that somebody waits for at the other end of a stream: measuring, indexing, bringing a model.

It stands beside the jobs in `lorebook jobs`, though not in their line: it begins at once, and ends with its stream. A
measurement that is resumed has none; it ends with its work, or with the daemon.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace

from lorebook_api.errors import Conflict
from lorebook_api.indexing import Progress
from lorebook_api.teaching import ENDED, JobInfo, JobState
from lorebook_daemon.app.engines import Report
from lorebook_daemon.app.failures import described
from lorebook_daemon.app.lifecycle import now

_KEPT = 50
"""How many are known after their end, until the daemon's."""


@dataclass
class _Doing:
    job: JobInfo
    task: asyncio.Task[object]
    progress: Progress | None = None
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def tell(self, job: JobInfo) -> None:
        self.job = job
        news, self.news = self.news, asyncio.Event()
        news.set()

    def end(self, state: JobState, reason: str = "") -> None:
        self.tell(replace(self.job, state=state, ended=now(), reason=reason))


class Doings:
    """What is in hand, and what was lately. All of it belongs to the event loop."""

    def __init__(self) -> None:
        self._known: dict[str, _Doing] = {}
        self._begun: set[asyncio.Task[None]] = set()

    def all(self) -> tuple[JobInfo, ...]:
        """Return all that is known."""
        return tuple(one.job for one in self._known.values())

    async def begin(self, kind: str, name: str, named: str, work: Callable[[Report], Awaitable[None]]) -> JobInfo:
        """Do work under the id `named`, though nobody waits for it; return it as it begins. How it ends, it tells.

        Raises Conflict where it is in hand already.
        """
        if self._in_hand(named):
            raise Conflict(f"{kind} {name} is running.", "See `lorebook jobs list`.")

        async def doing() -> None:
            with suppress(Exception), self.entered(kind, name, lambda progress: None, named) as heard:
                await work(heard)

        task = asyncio.create_task(doing())
        self._begun.add(task)
        task.add_done_callback(self._begun.discard)
        await asyncio.sleep(0)  # now it is entered
        return self._known[named].job

    def _in_hand(self, named: str) -> bool:
        return named in self._known and self._known[named].job.state not in ENDED

    async def close(self) -> None:
        """End what was begun here."""
        for task in self._begun:
            task.cancel()
        await asyncio.gather(*self._begun, return_exceptions=True)

    @contextmanager
    def entered(self, kind: str, name: str, report: Report, named: str = "") -> Iterator[Report]:
        """Have the current task known for the block, under the id `named` or a new one; yield what takes its progress.

        The progress is handed on to `report`. A task that is known by that id already stays so.
        """
        if self._in_hand(named) and self._known[named].task is _current_task():
            yield report
            return
        free = named and not self._in_hand(named)
        began = now()
        job = JobInfo(named if free else uuid.uuid4().hex[:12], kind, name, "running", began, began)
        self._known.pop(job.id, None)
        held = self._known[job.id] = _Doing(job, _current_task())

        def heard(progress: Progress) -> None:
            held.progress = progress
            held.tell(replace(held.job, reason=_told(progress)))
            report(progress)

        try:
            yield heard
        except asyncio.CancelledError:
            held.end("cancelled")
            raise
        except Exception as error:
            held.end("failed", str(described(error)))
            raise
        else:
            held.end("done")
        finally:
            self._forget()

    async def cancel(self, doing: str) -> JobInfo:
        """End what goes by this id and is in hand, as if who waits for it had hung up; return it when it has ended."""
        held = self._known[doing]
        held.task.cancel()
        while held.job.state not in ENDED:
            await held.news.wait()
        return held.job

    async def follow(self, doing: str) -> AsyncIterator[Progress]:
        """Yield how far it is until it has ended; nothing of what is not known."""
        held = self._known.get(doing)
        while held is not None and held.job.state not in ENDED:
            news = held.news
            if held.progress is not None:
                yield held.progress
            await news.wait()

    def _forget(self) -> None:
        ended = [name for name, one in self._known.items() if one.job.state in ENDED]
        for name in ended[:-_KEPT]:
            del self._known[name]


def _current_task() -> asyncio.Task[object]:
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - callers are coroutines
    return task


def _told(progress: Progress) -> str:
    return f"{progress.what} {progress.done} of {progress.total}" if progress.total else progress.what
