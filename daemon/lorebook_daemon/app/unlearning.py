"""What was learnt from a cell is forgotten for certain: what learnt from it is deleted, and trained anew without it."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from fastapi import APIRouter

from lorebook_api.errors import BadRequest, Conflict, NotFound, Unusable
from lorebook_api.teaching import ForgetRequest, JobInfo, Saw
from lorebook_daemon.app.adapting import unload
from lorebook_daemon.app.checks import check_text
from lorebook_daemon.app.jobs import new_job
from lorebook_daemon.app.keeping import remove_model
from lorebook_daemon.app.parts import Parts
from lorebook_daemon.teach.examples import Example, Origin, read_examples, write_examples
from lorebook_daemon.teach.job import read_job, write_job

_JOB = re.compile(r"[0-9a-f]{12}")
_KEPT = ("examples.jsonl", "job.json")
"""What stays of a job when something is taken out of its examples: enough to begin it anew."""


@dataclass(frozen=True)
class _Seen:
    """What learnt from what is to be forgotten, and the examples that it may be made from again."""

    name: str
    kind: Literal["adapter", "earlier", "model"]
    job: str
    places: tuple[str, ...]
    rest: tuple[Example, ...]

    @property
    def left(self) -> int:
        """How many examples can be learnt still."""
        return sum(not example.left_out and not example.held_out for example in self.rest)

    def told(self, job: str = "") -> Saw:
        """Return it as a client is told of it, with the job that makes it again."""
        return Saw(self.name, self.places, self.left, job, self.kind == "earlier")


def unlearning_routes(parts: Parts) -> APIRouter:
    """Return `POST /api/adapters/forget`."""
    router = APIRouter(prefix="/api/adapters")

    @router.post("/forget")
    async def forget(request: ForgetRequest) -> dict[str, tuple[Saw, ...]]:
        _check(request)
        seen = await asyncio.to_thread(_seen, parts, request)
        folders = await asyncio.to_thread(_folders, parts, request)
        if not seen and not folders:
            raise NotFound(
                "No adapter and no model learnt from that.",
                "See what one learnt from: lorebook adapters show NAME --json",
            )
        if request.only_list:
            return {"adapters": tuple(one.told() for one in seen)}
        _check_idle(parts, folders)
        told = tuple([await _forgotten(parts, one) for one in seen])
        await asyncio.to_thread(_scrub, folders, request)
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


def _seen(parts: Parts, request: ForgetRequest) -> list[_Seen]:
    """Return that whose card names what is to be forgotten; an adapter that goes takes its earlier version along."""
    seen: list[_Seen] = []
    for one in parts.teaching.cards():
        origins = [Origin(**cell) for cell in one.card.get("cells", ())]
        places = tuple(origin.place for origin in origins if _meant(origin, request))
        goes = one.kind == "earlier" and any(other.name == one.name for other in seen)
        if places and not goes:
            job = str(one.card.get("job", ""))
            job = job if _JOB.fullmatch(job) else ""  # a folder's name, and that folder is deleted
            rest = _rest(parts.teaching.folder(job), request) if job else ()
            seen.append(_Seen(one.name, one.kind, job, places, rest))
    return seen


def _meant(origin: Origin, request: ForgetRequest) -> bool:
    cells = ("", origin.cell, origin.cell.removeprefix("row "))
    return request.cell in cells and request.path in ("", origin.path)


def _holds(example: Example, request: ForgetRequest) -> bool:
    return any(_meant(origin, request) for origin in example.origins)


def _rest(folder: Path, request: ForgetRequest) -> tuple[Example, ...]:
    """Return a job's examples without what is to be forgotten; none where they are not kept any more."""
    try:
        examples = read_examples(folder / "examples.jsonl")
    except Unusable:
        return ()
    return tuple(example for example in examples if not _holds(example, request))


def _folders(parts: Parts, request: ForgetRequest) -> list[Path]:
    """Return the folders of all jobs whose examples hold what is to be forgotten, whatever became of those jobs."""
    folders = parts.teaching.folder("").glob("*/examples.jsonl")
    return [file.parent for file in folders if any(_holds(one, request) for one in read_examples(file))]


def _check_idle(parts: Parts, folders: Sequence[Path]) -> None:
    """Raise Conflict where a job that is not done learns from it: it would write what was just deleted."""
    busy = {job.id: job.name for job in parts.jobs.unfinished()}
    for folder in folders:
        if folder.name in busy:
            told = f"The job {folder.name}, which makes {busy[folder.name]}, learns from it now."
            raise Conflict(told, f"End that first: lorebook jobs cancel {folder.name}")


def _scrub(folders: Sequence[Path], request: ForgetRequest) -> None:
    """Take it out of the examples of jobs that came to no adapter, with all that they had learnt."""
    for folder in folders:
        if not folder.is_dir():
            continue
        write_examples(folder / "examples.jsonl", _rest(folder, request))
        for path in folder.iterdir():
            if path.name not in _KEPT:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


async def _forgotten(parts: Parts, seen: _Seen) -> Saw:
    """Delete it with all that was kept of its training, and put the job that makes it again into the line.

    An earlier version is not made again: the present one has its name.
    """
    wanted = seen.left and seen.kind != "earlier"
    again = await asyncio.to_thread(_prepared, parts, seen) if wanted else None
    await _deleted(parts, seen)
    if seen.job:
        await asyncio.to_thread(shutil.rmtree, parts.teaching.folder(seen.job), True)
    return seen.told(parts.jobs.submit(again).id if again else "")


async def _deleted(parts: Parts, seen: _Seen) -> None:
    if seen.kind == "model":
        await remove_model(parts, seen.name)
    elif seen.kind == "earlier":
        await asyncio.to_thread(parts.adapters.drop_earlier, seen.name)
    else:
        await unload(parts, seen.name)
        await asyncio.to_thread(parts.adapters.remove, seen.name)


def _prepared(parts: Parts, seen: _Seen) -> JobInfo:
    """Return a job like the one that made it, from the examples that are left."""
    job = new_job("teach", seen.name)
    before = read_job(parts.teaching.folder(seen.job))
    folder = parts.teaching.folder(job.id)
    write_job(folder, replace(before, id=job.id, name=seen.name))
    write_examples(folder / "examples.jsonl", seen.rest)
    return job
