"""The routes of the jobs: list, show, watch, cancel, resume, logs."""

from __future__ import annotations

import asyncio
import uuid

from fastapi import APIRouter

from lorebook_api.teaching import JobInfo
from lorebook_daemon.app.events import Emit, EventStream
from lorebook_daemon.app.parts import Parts


def job_routes(parts: Parts) -> APIRouter:
    """Return the routes below `/api/jobs`."""
    router = APIRouter(prefix="/api/jobs")

    @router.get("")
    async def known() -> dict[str, tuple[JobInfo, ...]]:
        return {"jobs": await asyncio.to_thread(parts.jobs.all)}

    @router.get("/{job_id}")
    async def show(job_id: str) -> JobInfo:
        return parts.jobs.get(job_id)

    @router.get("/{job_id}/events")
    async def events(job_id: str, after: int = 0) -> EventStream:
        parts.jobs.get(job_id)
        return EventStream(lambda emit: _follow(parts, job_id, after, emit), uuid.uuid4().hex, parts.running)

    @router.get("/{job_id}/logs")
    async def logs(job_id: str) -> dict[str, str]:
        return {"log": await asyncio.to_thread(parts.teaching.log, parts.jobs.get(job_id))}

    @router.post("/{job_id}/cancel")
    async def cancel(job_id: str) -> JobInfo:
        return await parts.jobs.cancel(job_id)

    @router.post("/{job_id}/resume")
    async def resume(job_id: str) -> JobInfo:
        return parts.jobs.resume(job_id)

    return router


async def _follow(parts: Parts, job_id: str, after: int, emit: Emit) -> None:
    """Send what happens in a job, at last `done` with the JobInfo; who hangs up only stops watching."""
    async for event in parts.jobs.follow(job_id, after):
        emit(event.name, event.data)
    emit("done", parts.jobs.get(job_id))
