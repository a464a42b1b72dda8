"""The routes that keep things: the index, the models."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from dataclasses import dataclass, replace
from pathlib import Path

from fastapi import APIRouter

from lorebook_api.errors import BadRequest
from lorebook_api.schema import IndexReport, IndexRequest, ModelInfo
from lorebook_daemon.app.checks import check_text, served_or
from lorebook_daemon.app.events import Emit, EventStream, reporter
from lorebook_daemon.app.parts import Parts


@dataclass(frozen=True)
class PullRequest:
    """Body of `POST /api/models/pull`."""

    name: str


@dataclass(frozen=True)
class AddRequest:
    """Body of `POST /api/models/add`: the absolute path of a GGUF file."""

    path: str


def index_routes(parts: Parts) -> APIRouter:
    """Return the route `index`."""
    router = APIRouter(prefix="/api")

    @router.post("/index")
    async def index(request: IndexRequest) -> EventStream:
        roots = served_or(request.roots, parts.served)
        return EventStream(lambda emit: _index(parts, roots, request.full, emit), uuid.uuid4().hex, parts.running)

    return router


async def _index(parts: Parts, roots: tuple[Path, ...], full: bool, emit: Emit) -> None:
    """Index one root after the other; `done` repeats the reports in the shape of `index --json`."""
    reports = [await _index_root(parts, root, full, emit) for root in roots]
    emit("done", {"roots": reports})


async def _index_root(parts: Parts, root: Path, full: bool, emit: Emit) -> IndexReport:
    """Wait until the words and then the meanings of `root` can be searched.

    A caller who gives up ends the run too, unless somebody else waits for it.
    """
    run = await parts.roots.start(root, full)
    try:
        with run.heard_by(reporter(emit)):
            report = await run.report()
            emit("report", report)
            await run.finished()
    except asyncio.CancelledError:
        if not run.waiters:
            await run.cancel()
        raise
    return report


def model_routes(parts: Parts) -> APIRouter:
    """Return the routes below `models`."""
    router = APIRouter(prefix="/api/models")

    @router.get("")
    async def known() -> dict[str, tuple[ModelInfo, ...]]:
        models = await asyncio.to_thread(parts.models.known)
        return {"models": tuple(replace(model, loaded=model.name == parts.engines.model) for model in models)}

    @router.post("/pull")
    async def pull(request: PullRequest) -> EventStream:
        check_text("name", request.name)
        return EventStream(lambda emit: _pull(parts, request.name, emit), uuid.uuid4().hex, parts.running)

    @router.post("/add")
    async def add(request: AddRequest) -> ModelInfo:
        check_text("path", request.path)
        if not Path(request.path).is_absolute():
            raise BadRequest(f"The path {request.path!r} is relative.", "Send the file's absolute path.")
        return await asyncio.to_thread(parts.models.add, Path(request.path))

    @router.delete("/{name:path}")
    async def remove(name: str) -> dict[str, str]:
        check_text("name", name)
        await _remove(parts, name)
        return {"removed": name}

    return router


async def _remove(parts: Parts, name: str) -> None:
    """Remove a model once no request uses it: an open file cannot be deleted everywhere."""
    file = await asyncio.to_thread(parts.models.file, name)
    async with parts.engines.without(file) if file else contextlib.nullcontext():
        await asyncio.to_thread(parts.models.remove, name)


async def _pull(parts: Parts, name: str, emit: Emit) -> None:
    emit("done", await parts.models.pull(name, reporter(emit)))
