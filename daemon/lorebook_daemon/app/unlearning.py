"""What was learnt from a cell is forgotten for certain: what learnt from it is deleted, and trained anew without it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fastapi import APIRouter

from lorebook_api.errors import BadRequest, Conflict, NotFound
from lorebook_api.teaching import ForgetRequest, JobInfo, Saw
from lorebook_daemon.app.adapting import unload
from lorebook_daemon.app.checks import check_text
from lorebook_daemon.app.jobs import new_job
from lorebook_daemon.app.keeping import remove_model
from lorebook_daemon.app.parts import Parts
from lorebook_daemon.app.tracing import Seen, Trace
from lorebook_daemon.teach.examples import write_examples
from lorebook_daemon.teach.job import read_job, write_job

_KEPT = ("examples.jsonl", "job.json")
"""What stays of a job when something is taken out of its examples: enough to begin it anew."""


def unlearning_routes(parts: Parts) -> APIRouter:
    """Return `POST /api/adapters/forget`."""
    router = APIRouter(prefix="/api/adapters")

    @router.post("/forget")
    async def forget(request: ForgetRequest) -> dict[str, tuple[Saw, ...]]:
        _check(request)
        trace = await asyncio.to_thread(Trace, parts.teaching, request)
        seen = await asyncio.to_thread(trace.seen)
        folders = await asyncio.to_thread(trace.folders)
        if not seen and not folders:
            raise NotFound(
                "No adapter and no model learnt from that.",
                "See what one learnt from: lorebook adapters show NAME --json",
            )
        if request.only_list:
            return {"adapters": tuple(one.told() for one in seen)}
        _check_idle(parts, folders, seen)
        told = tuple([await _forgotten(parts, one) for one in seen])
        await asyncio.to_thread(_scrub, folders, trace)
        for job in {one.job for one in seen if one.job} | {folder.name for folder in folders}:
            await asyncio.to_thread(parts.jobs.unsay, job)
        return {"adapters": told}

    return router


def _check(request: ForgetRequest) -> None:
    for what, text in (("cell", request.cell), ("path", request.path)):
        if text:
            check_text(what, text)
    if not request.cell and not request.path:
        raise BadRequest(
            "There is nothing named to forget.", "Name a cell: lorebook adapters forget --cell lab.ipynb#c3"
        )
    if request.path and not Path(request.path).is_absolute():
        raise BadRequest(f"The path {request.path!r} is relative.", "Send the file's absolute path.")


def _check_idle(parts: Parts, folders: Sequence[Path], seen: Sequence[Seen]) -> None:
    """Raise Conflict where a job that is not done learns from it, or makes what saw it anew.

    The first would write what was just deleted, the second may be changing versions right now.
    """
    jobs = {job.id: job for job in parts.jobs.unfinished()}
    names = {one.name.casefold() for one in seen}
    learning = [jobs[folder.name] for folder in folders if folder.name in jobs]
    making = [job for job in jobs.values() if job.kind == "teach" and job.name.casefold() in names]
    for job in (*learning, *making):
        what = "learns from it now" if job in learning else "is to take the place of one that saw it"
        told = f"The job {job.id}, which makes {job.name}, {what}."
        raise Conflict(told, f"End that first: lorebook jobs cancel {job.id}")


def _scrub(folders: Sequence[Path], trace: Trace) -> None:
    """Take it out of the examples of jobs that came to no adapter, with all that they had learnt.

    A job upon a model that learnt from it takes that as it will be when the job is gone on with.
    """
    for folder in folders:
        if not folder.is_dir():
            continue
        if trace.rests(folder):
            write_job(folder, replace(read_job(folder), sha256=""))
        write_examples(folder / "examples.jsonl", trace.rest(folder))
        for path in folder.iterdir():
            if path.name not in _KEPT:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


async def _forgotten(parts: Parts, seen: Seen) -> Saw:
    """Delete it with all that was kept of its training, and put the job that makes it again into the line."""
    again = await asyncio.to_thread(_prepared, parts, seen) if seen.comes_again else None
    await _deleted(parts, seen)
    if seen.job:
        await asyncio.to_thread(shutil.rmtree, parts.teaching.folder(seen.job), True)
    return seen.told(parts.jobs.submit(again).id if again else "")


async def _deleted(parts: Parts, seen: Seen) -> None:
    if seen.kind == "model":
        await remove_model(parts, seen.name)
    elif seen.kind == "earlier":
        await asyncio.to_thread(parts.adapters.drop_earlier, seen.name)
    elif seen.kind == "adapter":
        await unload(parts, seen.name)
        await asyncio.to_thread(parts.adapters.remove, seen.name)


def _prepared(parts: Parts, seen: Seen) -> JobInfo:
    """Return a job like the one that made it, from the examples that are left, upon its base as that is made again."""
    job = new_job("teach", seen.name)
    before = replace(read_job(parts.teaching.folder(seen.job)), id=job.id, name=seen.name)
    if seen.upon:
        before = replace(before, base=seen.upon.name, path=str(seen.upon.path), sha256="")
    folder = parts.teaching.folder(job.id)
    write_job(folder, before)
    write_examples(folder / "examples.jsonl", seen.rest)
    return job
