"""The routes of the adapters: their files, those in the engine's memory, and llama.cpp's `/lora-adapters`."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field

from lorebook_api.asking import AdapterUse
from lorebook_api.errors import BadRequest, EngineDied, NotFound
from lorebook_api.state import AdapterInfo
from lorebook_daemon.app.checks import check_adapters, check_text
from lorebook_daemon.app.events import Emit, EventStream, reporter
from lorebook_daemon.app.parts import Parts


@dataclass(frozen=True)
class NamedAdapter:
    """Body of `POST /api/adapters/load`, `/unload` and `/rollback`: a name, or the path of a GGUF file."""

    name: str


@dataclass(frozen=True)
class ImportRequest:
    """Body of `POST /api/adapters/import`: the absolute path of a GGUF file, and what to call the adapter."""

    path: str
    name: str = ""
    """Empty: as the file is called."""


@dataclass(frozen=True)
class NumberedScale:
    """An item of the body of `POST /lora-adapters`, as llama.cpp has it."""

    id: Annotated[int, Field(strict=True)]
    scale: Annotated[float, Field(strict=True)]


def adapter_routes(parts: Parts) -> APIRouter:
    """Return the routes below `/api/adapters`."""
    router = APIRouter(prefix="/api/adapters")

    @router.get("")
    async def known() -> dict[str, tuple[AdapterInfo, ...]]:
        adapters, loaded = await asyncio.to_thread(parts.adapters.known), await _loaded(parts)
        return {"adapters": tuple(_marked(adapter, loaded) for adapter in adapters)}

    @router.post("/load")
    async def load(request: NamedAdapter) -> EventStream:
        check_text("name", request.name)
        return EventStream(lambda emit: _load(parts, request.name, emit), uuid.uuid4().hex, parts.running)

    @router.post("/unload")
    async def drop(request: NamedAdapter) -> dict[str, str]:
        check_text("name", request.name)
        await unload(parts, request.name)
        return {"unloaded": request.name}

    @router.post("/rollback")
    async def rollback(request: NamedAdapter) -> AdapterInfo:
        check_text("name", request.name)
        with suppress(NotFound):  # a kill may have left its version before alone
            await unload(parts, request.name)
        return await asyncio.to_thread(parts.adapters.roll_back, request.name)

    @router.post("/import")
    async def bring(request: ImportRequest) -> AdapterInfo:
        check_text("path", request.path)
        if not Path(request.path).is_absolute():
            raise BadRequest(f"The path {request.path!r} is relative.", "Send the file's absolute path.")
        return await asyncio.to_thread(parts.adapters.add, Path(request.path), request.name)

    @router.get("/{name:path}")
    async def show(name: str) -> AdapterInfo:
        check_text("name", name)
        adapter = await asyncio.to_thread(parts.adapters.find, name)
        return _marked(adapter, await _loaded(parts))

    @router.delete("/{name:path}")
    async def remove(name: str) -> dict[str, str]:
        check_text("name", name)
        await unload(parts, name)
        removed = await asyncio.to_thread(parts.adapters.remove, name)
        return {"removed": removed.name}

    return router


def lora_routes(parts: Parts) -> APIRouter:
    """Return `/lora-adapters` as llama.cpp's server has it: the scales of requests that name no adapters."""
    router = APIRouter(prefix="/lora-adapters")

    @router.get("")
    async def scales() -> list[dict[str, Any]]:
        adapters = await asyncio.to_thread(parts.adapters.known)
        return [_numbered(number, adapter) for number, adapter in enumerate(adapters)]

    @router.post("")
    async def set_scales(wanted: list[NumberedScale]) -> dict[str, bool]:
        pairs = [(one.id, one.scale) for one in wanted]
        uses = await asyncio.to_thread(parts.adapters.numbered, pairs)
        check_adapters(uses)
        await _try(parts, uses)
        parts.adapters.set_defaults(uses)
        return {"success": True}

    return router


def _numbered(number: int, adapter: AdapterInfo) -> dict[str, Any]:
    """Return an adapter in llama.cpp's shape; the text of the invocation's tokens is the model's to know."""
    entry: dict[str, Any] = {
        "id": number,
        "path": adapter.path,
        "scale": adapter.scale,
        "task_name": adapter.task,
        "prompt_prefix": adapter.prompt_prefix,
    }
    return {**entry, "alora_invocation_tokens": adapter.invocation} if adapter.invocation else entry


async def _load(parts: Parts, name: str, emit: Emit) -> None:
    """Have an adapter in the memory of the engine that is there, or of the one that requests would be given."""
    report = reporter(emit)
    adapter = await asyncio.to_thread(parts.adapters.find, name)
    model = parts.engines.current or await parts.models.find(parts.settings.model, report)
    async with parts.engines.using(model, report) as engine:
        await engine.load(name)
        emit("done", _marked(adapter, await engine.loaded()))


async def unload(parts: Parts, name: str) -> None:
    """Drop an adapter from memory if it is there; raises NotFound for one that is nowhere."""
    adapter = await asyncio.to_thread(parts.adapters.find, name)
    async with parts.engines.joined() as engine:
        if engine is not None and _marked(adapter, await engine.loaded()).loaded:
            await engine.unload(name)


async def _try(parts: Parts, uses: tuple[AdapterUse, ...]) -> None:
    """Load the adapters where a model is in memory: it says whether they fit, and the next request is fast."""
    async with parts.engines.joined() as engine:
        if engine is not None:
            for use in uses:
                await engine.load(use.name)


async def _loaded(parts: Parts) -> tuple[str, ...]:
    async with parts.engines.joined() as engine:
        try:
            return () if engine is None else await engine.loaded()
        except EngineDied:  # and with it what it had in memory
            return ()


def _marked(adapter: AdapterInfo, loaded: tuple[str, ...]) -> AdapterInfo:
    return replace(adapter, loaded=adapter.name in loaded or adapter.path in loaded)
