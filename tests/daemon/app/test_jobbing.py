"""What stands in no line, while it ends: `GET /api/jobs/ID` never tells of an end without what came of it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from types import SimpleNamespace

import httpx
from fastapi import FastAPI

from lorebook_api.teaching import JobInfo
from lorebook_daemon.app.doings import Doings
from lorebook_daemon.app.engines import Report
from lorebook_daemon.app.jobbing import job_routes

KEPT = JobInfo("r1", "eval", "mc a.csv", "interrupted", "2026-12-01T00:00:00+00:00")


def entered(doings: Doings) -> AbstractContextManager[Report]:
    return doings.entered("eval", "mc a.csv", lambda progress: None, "r1")


async def told_while(happens: Callable[[Doings, ExitStack], object], begun: bool) -> str:
    """Return the state of a measurement to which something happens while the runs that are kept are being read."""
    doings, reads, read = Doings(), threading.Event(), threading.Event()

    def kept() -> tuple[JobInfo, ...]:
        reads.set()
        assert read.wait(10)
        return (KEPT,)

    app = FastAPI()
    app.include_router(job_routes(SimpleNamespace(doings=doings, evaluations=SimpleNamespace(jobs=kept))))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as client:
        with ExitStack() as stack:
            if begun:
                stack.enter_context(entered(doings))
            asked = asyncio.create_task(client.get("/api/jobs/r1"))
            assert await asyncio.to_thread(reads.wait, 10)
            happens(doings, stack)
            read.set()
            return str((await asked).json()["state"])


def test_what_ends_while_it_is_looked_up_is_not_done_without_its_figures() -> None:
    assert asyncio.run(told_while(lambda doings, stack: stack.close(), begun=True)) == "running"


def test_what_begins_while_it_is_looked_up_runs() -> None:
    begins = told_while(lambda doings, stack: stack.enter_context(entered(doings)), begun=False)
    assert asyncio.run(begins) == "running"
