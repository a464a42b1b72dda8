"""The routes of the jobs: list, show, watch, cancel, resume, logs.

Beside the jobs in the line they show what else takes long: measurements, running and past, indexing, pulls.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter

from lorebook_api.errors import Conflict
from lorebook_api.indexing import Progress
from lorebook_api.teaching import ENDED, JobInfo
from lorebook_daemon.app import arenajudging, evaluating, ragging
from lorebook_daemon.app.events import Emit, EventStream
from lorebook_daemon.app.jobs import check_resumable
from lorebook_daemon.app.measure import Measure
from lorebook_daemon.app.parts import Parts

_MEASURES: dict[str, Measure[Any]] = {one.route: one for one in (*evaluating.MEASURES, ragging.RAG, arenajudging.ARENA)}
"""What can be resumed beside the jobs in the line, by its route."""


def job_routes(parts: Parts) -> APIRouter:
    """Return the routes below `/api/jobs`."""
    router = APIRouter(prefix="/api/jobs")

    @router.get("")
    async def known() -> dict[str, tuple[JobInfo, ...]]:
        jobs = (*await asyncio.to_thread(parts.jobs.all), *(await _beside(parts)).values())
        return {"jobs": tuple(sorted(jobs, key=lambda job: job.created, reverse=True))}

    @router.get("/{job_id}")
    async def show(job_id: str) -> JobInfo:
        return await _find(parts, job_id)

    @router.get("/{job_id}/events")
    async def events(job_id: str, after: int = 0) -> EventStream:
        await _find(parts, job_id)
        return EventStream(lambda emit: _follow(parts, job_id, after, emit), uuid.uuid4().hex, parts.running)

    @router.get("/{job_id}/logs")
    async def logs(job_id: str) -> dict[str, str]:
        return {"log": await _log(parts, job_id)}

    @router.post("/{job_id}/cancel")
    async def cancel(job_id: str) -> JobInfo:
        return await _cancel(parts, job_id)

    @router.post("/{job_id}/resume")
    async def resume(job_id: str) -> JobInfo:
        beside = (await _beside(parts)).get(job_id)
        return parts.jobs.resume(job_id) if beside is None else await _resume(parts, beside)

    return router


async def _beside(parts: Parts) -> dict[str, JobInfo]:
    """Return what takes long and stands in no line, by its id: what is in hand or was lately, all measurements."""
    before = {job.id: job for job in parts.doings.all()}
    kept = {job.id: job for job in await asyncio.to_thread(parts.evaluations.jobs)}
    # What ends while the others are read is told as it was: its figures are not among them. What begins is told too.
    held = (before.get(job.id, job) for job in parts.doings.all())
    return {**kept, **{job.id: job for job in held if job.id not in kept or kept[job.id].state != "done"}}


async def _find(parts: Parts, job_id: str) -> JobInfo:
    found = (await _beside(parts)).get(job_id)
    return found or parts.jobs.get(job_id)


async def _log(parts: Parts, job_id: str) -> str:
    if beside := (await _beside(parts)).get(job_id):
        hint = f"lorebook eval show {job_id} --items" if beside.kind == "eval" else "lorebook logs"
        raise Conflict(f"{beside.kind} {beside.name} keeps no log of its own.", f"See {hint}.")
    return await asyncio.to_thread(parts.teaching.log, parts.jobs.get(job_id))


async def _cancel(parts: Parts, job_id: str) -> JobInfo:
    beside = (await _beside(parts)).get(job_id)
    if beside is None:
        return await parts.jobs.cancel(job_id)
    if beside.state in ENDED:
        raise Conflict(f"{job_id} has ended already ({beside.state}).", "See `lorebook jobs list`.")
    return await parts.doings.cancel(job_id)


async def _resume(parts: Parts, job: JobInfo) -> JobInfo:
    """Go on with a measurement; raises Conflict for one that has ended or is running, and for what is none."""
    check_resumable(job, f"{job.kind} {job.name}")
    call = await asyncio.to_thread(parts.evaluations.runs.call, job.id) if job.kind == "eval" else None
    if call is None or call.route not in _MEASURES:
        raise Conflict(f"{job.kind} {job.name} is {job.state}.", "Type its command again: it goes on where it was.")
    measure = _MEASURES[call.route]
    request = measure.request(call.body)

    async def work(report: Callable[[Progress], None]) -> None:
        with parts.activity.working():
            await measure.resume(parts, job.id, request, report)

    return await parts.doings.begin(job.kind, job.name, job.id, work)


async def _follow(parts: Parts, job_id: str, after: int, emit: Emit) -> None:
    """Send what happens in a job, at last `done` with the JobInfo; who hangs up only stops watching."""
    if job_id in await _beside(parts):
        async for progress in parts.doings.follow(job_id):
            emit("progress", progress)
    else:
        async for event in parts.jobs.follow(job_id, after):
            emit(event.name, event.data)
    emit("done", await _find(parts, job_id))
