"""The routes of teaching: what a request would teach, and a job that teaches it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fastapi import APIRouter

from lorebook_api.errors import BadRequest
from lorebook_api.teaching import JobInfo, JobState, Prepared, Preview, TeachRequest
from lorebook_daemon.app.checks import check_text
from lorebook_daemon.app.jobs import new_job
from lorebook_daemon.app.parts import Parts
from lorebook_daemon.teach.outcome import launch_commands


def teach_routes(parts: Parts) -> APIRouter:
    """Return the routes below `/api/teach`."""
    router = APIRouter(prefix="/api/teach")

    @router.post("/preview")
    async def preview(request: TeachRequest) -> Preview:
        _check(request)
        return await parts.teaching.preview(request)

    @router.post("")
    async def teach(request: TeachRequest) -> JobInfo:
        _check(request)
        return await _teach(parts, request)

    @router.post("/prepare")
    async def prepare(request: TeachRequest) -> Prepared:
        _check(request)
        job = await _teach(parts, request, "prepared")
        folder = parts.teaching.folder(job.id)
        return Prepared(job, str(folder), launch_commands(folder))

    return router


async def _teach(parts: Parts, request: TeachRequest, state: JobState = "waiting") -> JobInfo:
    """Prepare a job and keep it, in the line or for elsewhere; what was written of one that cannot be is taken away."""
    job = new_job("teach", request.name)
    try:
        elsewhere = state == "prepared"
        name = await parts.teaching.prepare(request, job.id, parts.jobs.unfinished(), elsewhere=elsewhere)
        return parts.jobs.submit(replace(job, name=name, state=state))
    except BaseException:
        await asyncio.to_thread(shutil.rmtree, parts.teaching.folder(job.id), True)
        raise


def _check(request: TeachRequest) -> None:
    _check_paths((*request.notebooks, *request.data))
    for pair in request.pairs:
        check_text("question", pair.question)
        check_text("answer", pair.answer)


def _check_paths(paths: Sequence[str]) -> None:
    for path in paths:
        check_text("path", path)
        if not Path(path).is_absolute():
            raise BadRequest(f"The path {path!r} is relative.", "Send the file's absolute path.")
