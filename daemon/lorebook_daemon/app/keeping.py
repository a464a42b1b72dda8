"""The routes that keep things: the index, the models."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from dataclasses import dataclass, replace
from pathlib import Path

from fastapi import APIRouter

from lorebook_api.errors import BadRequest, NotFound
from lorebook_api.indexing import IndexReport, IndexRequest, RootNotice
from lorebook_api.state import ModelInfo
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


@dataclass(frozen=True)
class ForgetRequest:
    """Body of `POST /api/index/forget`: the absolute path of a root, which need not be there any more."""

    root: str


def index_routes(parts: Parts) -> APIRouter:
    """Return the routes `index` and those below it."""
    router = APIRouter(prefix="/api/index")

    @router.post("")
    async def index(request: IndexRequest) -> EventStream:
        roots = served_or(request.roots, parts.served)
        return EventStream(lambda emit: _index(parts, roots, request, emit), uuid.uuid4().hex, parts.running)

    @router.post("/pause")
    async def pause() -> dict[str, bool]:
        """Hold all indexing until `resume`, or until the daemon ends."""
        parts.roots.pause(True)
        return {"paused": True}

    @router.post("/resume")
    async def resume() -> dict[str, bool]:
        parts.roots.pause(False)
        return {"paused": False}

    @router.post("/forget")
    async def forget(request: ForgetRequest) -> dict[str, str]:
        check_text("root", request.root)
        root = Path(request.root)
        if not root.is_absolute():
            raise BadRequest(f"The root {request.root!r} is relative.", "Send its absolute path.")
        if not await parts.roots.forget(root):
            raise NotFound(f"{root} is not indexed.", "What is indexed: lorebook status")
        return {"forgotten": str(root)}

    return router


async def _index(parts: Parts, roots: tuple[Path, ...], request: IndexRequest, emit: Emit) -> None:
    """Index one root after the other; `done` repeats the reports in the shape of `index --json`.

    With `watch` it is followed by what happens to the roots, until the caller hangs up.
    """
    async with contextlib.AsyncExitStack() as stack:
        for root in roots if request.watch else ():
            parts.watching.keep(root)
            stack.push_async_callback(parts.watching.leave, root)
        reports = [await _index_root(parts, root, request.full, emit) for root in roots]
        if not request.watch:
            emit("done", {"roots": reports})
            return
        for root in roots:
            stack.enter_context(parts.watching.heard_by(root, lambda what: _tell(emit, what)))
        await asyncio.Event().wait()


def _tell(emit: Emit, what: IndexReport | RootNotice) -> None:
    emit("report" if isinstance(what, IndexReport) else "notice", what)


async def _index_root(parts: Parts, root: Path, full: bool, emit: Emit) -> IndexReport:
    """Wait until the words and then the meanings of `root` can be searched.

    A caller who gives up ends the run too, unless somebody else waits for it.
    """
    run = await parts.roots.start(root, full)
    try:
        with parts.doings.entered("index", str(root), reporter(emit)) as heard, run.heard_by(heard):
            report = await run.report()
            emit("report", report)
            await run.settled()
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
        await remove_model(parts, name)
        return {"removed": name}

    return router


async def remove_model(parts: Parts, name: str) -> None:
    """Remove a model once no request uses it: an open file cannot be deleted everywhere."""
    file = await asyncio.to_thread(parts.models.file, name)
    async with parts.engines.without(file) if file else contextlib.nullcontext():
        await asyncio.to_thread(parts.models.remove, name)


async def _pull(parts: Parts, name: str, emit: Emit) -> None:
    with parts.doings.entered("pull", name, reporter(emit)) as heard:
        emit("done", await parts.models.pull(name, heard))
