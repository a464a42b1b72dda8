"""What stands in no line, while it ends: `GET /api/jobs/ID` never tells of an end without what came of it."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace

import httpx
from fastapi import FastAPI

from lorebook_api.teaching import JobInfo
from lorebook_daemon.app.doings import Doings
from lorebook_daemon.app.jobbing import job_routes

KEPT = JobInfo("r1", "eval", "mc a.csv", "interrupted", "2026-12-01T00:00:00+00:00")


async def told_while_it_ends() -> str:
    """Return the state of a measurement that ends while the runs that are kept are being read."""
    doings, reads, read = Doings(), threading.Event(), threading.Event()

    def kept() -> tuple[JobInfo, ...]:
        reads.set()
        assert read.wait(10)
        return (KEPT,)

    app = FastAPI()
    app.include_router(job_routes(SimpleNamespace(doings=doings, evaluations=SimpleNamespace(jobs=kept))))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as client:
        with doings.entered("eval", "mc a.csv", lambda progress: None, "r1"):
            asked = asyncio.create_task(client.get("/api/jobs/r1"))
            assert await asyncio.to_thread(reads.wait, 10)
        read.set()
        return str((await asked).json()["state"])


def test_what_ends_while_it_is_looked_up_is_not_done_without_its_figures() -> None:
    assert asyncio.run(told_while_it_ends()) == "running"
