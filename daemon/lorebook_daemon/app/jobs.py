"""The jobs room: long work in a line, one piece at a time; each can be watched, cancelled, and gone on with."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from lorebook_api.errors import Conflict, LorebookError, StorageFailed
from lorebook_api.teaching import ENDED, JobInfo, JobState
from lorebook_daemon.app.activity import Activity
from lorebook_daemon.app.failures import described
from lorebook_daemon.app.jobstore import JobEvent, JobStore
from lorebook_daemon.app.lifecycle import now

log = logging.getLogger(__name__)

_AGAIN_S = 5.0
"""Until what could not be written is tried again."""

Tell = Callable[[str, Any], None]
"""Takes something that happened: its name, and plain JSON data."""

Work = Callable[[JobInfo, Tell], Awaitable[dict[str, Any]]]
"""Does a job, from where it was left where it was begun before; returns its result, raises LorebookError."""


def new_job(kind: str, name: str) -> JobInfo:
    """Return a job that nobody knows of yet."""
    return JobInfo(uuid.uuid4().hex[:12], kind, name, "waiting", now())


def check_resumable(job: JobInfo, named: str) -> None:
    """Raise Conflict for a job, named so, that is not over or has done its work."""
    if job.state not in ENDED or job.state == "done":
        what = "has done its work" if job.state == "done" else f"is {job.state}"
        raise Conflict(f"{named} {what}.", "See `lorebook jobs list`.")


class Jobs:
    """Runs one job at a time, in the order of their coming; `works` does each kind.

    Where the store cannot be written it waits `again_s` seconds and tries again; how a job ended is known meanwhile.
    """

    def __init__(
        self, store: JobStore, works: Mapping[str, Work], activity: Activity, again_s: float = _AGAIN_S
    ) -> None:
        self._store, self._works, self._activity, self._again_s = store, works, activity, again_s
        self._running: tuple[str, asyncio.Task[dict[str, Any]]] | None = None
        self._cancelled: set[str] = set()
        self._unwritten: dict[str, JobInfo] = {}
        """Jobs that have ended, which could not be written down yet."""
        self._news = asyncio.Event()
        store.interrupt()

    def all(self) -> tuple[JobInfo, ...]:
        """Return all jobs, the latest first."""
        return tuple(self._unwritten.get(job.id, job) for job in self._store.all())

    def get(self, job_id: str) -> JobInfo:
        """Return a job; raises NotFound."""
        return self._unwritten.get(job_id) or self._store.get(job_id)

    def unfinished(self) -> tuple[JobInfo, ...]:
        """Return the jobs that run or wait."""
        return tuple(job for job in self.all() if job.state not in ENDED)

    def submit(self, job: JobInfo) -> JobInfo:
        """Keep a new job, in the line if it is waiting; raises StorageFailed."""
        self._store.add(job)
        self._tell_all()
        return job

    def resume(self, job_id: str) -> JobInfo:
        """Put a job that did not get to its end into the line again; raises NotFound, and Conflict for any other."""
        job = self.get(job_id)
        check_resumable(job, f"The job {job_id}")
        if any(other.name == job.name and other.kind == job.kind for other in self.unfinished()):
            raise Conflict(f"Another job makes {job.name} already.", "Wait for it, or cancel it.")
        job = self._store.wait(job_id)
        self._unwritten.pop(job_id, None)
        self._tell_all()
        return job

    async def cancel(self, job_id: str) -> JobInfo:
        """End a job, wherever it is, and return it; raises NotFound, and Conflict for one that has ended."""
        job = self.get(job_id)
        if job.state in ENDED:
            raise Conflict(f"The job {job_id} has ended already ({job.state}).", "See `lorebook jobs list`.")
        if self._running is None or self._running[0] != job_id:
            self._store.end(replace(job, state="cancelled", ended=now(), reason="", result={}))
        else:
            self._cancelled.add(job_id)
            self._running[1].cancel()
            await asyncio.wait([self._running[1]])
            await asyncio.sleep(0)  # lets `run` write down how it ended
        self._tell_all()
        return self.get(job_id)

    def unsay(self, job_id: str) -> None:
        """Forget what the model said in a job, and what it was to say; raises StorageFailed."""
        self._store.forget(job_id, "said")

    async def follow(self, job_id: str, after: int = 0) -> AsyncIterator[JobEvent]:
        """Yield what happened in a job after its `after`th event and what happens now, until it has ended."""
        while True:
            news = self._news
            job = self.get(job_id)
            for event in self._store.events(job_id, after):
                after = event.n
                yield event
            if job.state in ENDED:
                return
            await news.wait()

    async def run(self) -> None:
        """Do the jobs for ever, one after another; cancelling this interrupts the one in hand."""
        while True:
            news = self._news
            try:
                job = self._next()
            except StorageFailed as error:
                log.warning("the next job waits: %s", error)
                await self._pause(news)
                continue
            if job is not None:
                with self._activity.working():
                    await self._do(job)
                self._tell_all()
            elif self._unwritten:
                await self._pause(news)
            else:
                await news.wait()

    async def _pause(self, news: asyncio.Event) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(news.wait(), self._again_s)

    def _next(self) -> JobInfo | None:
        """Write down what could not be before, and begin the next job; raises StorageFailed where it cannot begin."""
        self._write_ends()
        job = self._store.waiting()
        return None if job is None else self._store.begin(job.id)

    async def _do(self, job: JobInfo) -> None:
        def tell(name: str, data: Any) -> None:
            self._store.tell(job.id, name, data)
            self._tell_all()

        self._tell_all()
        log.info("job %s begins: %s %s", job.id, job.kind, job.name)
        work = asyncio.ensure_future(self._works[job.kind](job, tell))
        self._running = (job.id, work)
        try:
            await asyncio.wait([work])
        finally:
            self._running = None
            if not work.done():  # the daemon ends
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)
                self._end(job, "interrupted", "The daemon ended before the job did.")
        self._conclude(job, work)

    def _conclude(self, job: JobInfo, work: asyncio.Future[dict[str, Any]]) -> None:
        if work.cancelled():
            taken_back = job.id in self._cancelled
            self._cancelled.discard(job.id)
            self._end(job, "cancelled" if taken_back else "interrupted")
        elif error := work.exception():
            told = described(error) if isinstance(error, Exception) else LorebookError(str(error))
            self._end(job, "failed", str(told))
        else:
            self._end(job, "done", result=work.result())

    def _end(self, job: JobInfo, state: JobState, reason: str = "", result: dict[str, Any] | None = None) -> None:
        """Note how a job ended, in memory until that is written down: the jobs after it begin in any case."""
        self._unwritten[job.id] = replace(job, state=state, ended=now(), reason=reason, result=result or {})
        log.info("job %s is %s. %s", job.id, state, reason)
        self._write_ends()

    def _write_ends(self) -> None:
        for job in tuple(self._unwritten.values()):
            try:
                self._store.end(job)
            except StorageFailed as error:
                log.warning("how the job %s ended is not written down yet: %s", job.id, error)
                return
            del self._unwritten[job.id]

    def _tell_all(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    def close(self) -> None:
        """Give the store back."""
        self._write_ends()
        self._store.close()
