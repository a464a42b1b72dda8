"""What an adapter learnt from a cell is forgotten for certain: the adapter is deleted, and trained anew without it."""

from __future__ import annotations

import asyncio
import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from fastapi import APIRouter

from lorebook_api.errors import BadRequest, NotFound, Unusable
from lorebook_api.teaching import ForgetRequest, JobInfo, Saw
from lorebook_daemon.app.adapting import unload
from lorebook_daemon.app.checks import check_text
from lorebook_daemon.app.jobs import new_job
from lorebook_daemon.app.parts import Parts
from lorebook_daemon.teach.examples import Example, Origin, read_examples, write_examples
from lorebook_daemon.teach.job import read_job, write_job

_JOB = re.compile(r"[0-9a-f]{12}")


@dataclass(frozen=True)
class _Seen:
    """An adapter that learnt from what is to be forgotten, and the examples that it may be made from again."""

    adapter: str
    job: str
    places: tuple[str, ...]
    rest: tuple[Example, ...]

    @property
    def left(self) -> int:
        """How many examples can be learnt still."""
        return sum(not example.left_out and not example.held_out for example in self.rest)


def unlearning_routes(parts: Parts) -> APIRouter:
    """Return `POST /api/adapters/forget`."""
    router = APIRouter(prefix="/api/adapters")

    @router.post("/forget")
    async def forget(request: ForgetRequest) -> dict[str, tuple[Saw, ...]]:
        _check(request)
        seen = await asyncio.to_thread(_seen, parts, request)
        if not seen:
            raise NotFound(
                "No adapter learnt from that.", "See what one learnt from: lorebook adapters show NAME --json"
            )
        return {"adapters": tuple([await _forgotten(parts, one, request.only_list) for one in seen])}

    return router


def _check(request: ForgetRequest) -> None:
    check_text("cell", request.cell)
    check_text("path", request.path)
    if not request.cell and not request.path:
        raise BadRequest(
            "There is nothing named to forget.", "Name a cell: lorebook adapters forget --cell lab.ipynb#c3"
        )
    if request.path and not Path(request.path).is_absolute():
        raise BadRequest(f"The path {request.path!r} is relative.", "Send the file's absolute path.")


def _seen(parts: Parts, request: ForgetRequest) -> list[_Seen]:
    """Return the adapters whose card names what is to be forgotten."""
    seen = []
    for name, card in parts.teaching.cards():
        origins = [Origin(**cell) for cell in card.get("cells", ())]
        places = tuple(origin.place for origin in origins if _meant(origin, request))
        if places:
            job = str(card.get("job", ""))
            job = job if _JOB.fullmatch(job) else ""  # a folder's name, and that folder is deleted
            seen.append(_Seen(name, job, places, _rest(parts.teaching.folder(job), request) if job else ()))
    return seen


def _meant(origin: Origin, request: ForgetRequest) -> bool:
    return request.cell in ("", origin.cell) and request.path in ("", origin.path)


def _rest(folder: Path, request: ForgetRequest) -> tuple[Example, ...]:
    """Return a job's examples without what is to be forgotten; none where they are not kept any more."""
    try:
        examples = read_examples(folder / "examples.jsonl")
    except Unusable:
        return ()
    return tuple(example for example in examples if not _meant(example.origin, request))


async def _forgotten(parts: Parts, seen: _Seen, only_list: bool) -> Saw:
    """Delete the adapter with all that was kept of its training, and put the job that makes it again into the line."""
    if only_list:
        return Saw(seen.adapter, seen.places, seen.left)
    again = await asyncio.to_thread(_prepared, parts, seen) if seen.left else None
    await unload(parts, seen.adapter)
    await asyncio.to_thread(parts.adapters.remove, seen.adapter)
    if seen.job:
        await asyncio.to_thread(shutil.rmtree, parts.teaching.folder(seen.job), True)
    if again is None:
        return Saw(seen.adapter, seen.places, 0)
    return Saw(seen.adapter, seen.places, seen.left, parts.jobs.submit(again).id)


def _prepared(parts: Parts, seen: _Seen) -> JobInfo:
    """Return a job like the one that made the adapter, from the examples that are left."""
    job = new_job("teach", seen.adapter)
    before = read_job(parts.teaching.folder(seen.job))
    folder = parts.teaching.folder(job.id)
    write_job(folder, replace(before, id=job.id, name=seen.adapter))
    write_examples(folder / "examples.jsonl", seen.rest)
    return job
