"""Which model answers: a base model by its name, or an adapter, whose name is a model's too."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorebook_api.asking import AdapterUse
from lorebook_api.errors import NotFound, Unusable
from lorebook_api.state import AdapterInfo, ModelInfo
from lorebook_daemon.app.parts import Parts
from lorebook_daemon.app.v1.requests import Generating
from lorebook_daemon.models.shelf import AUTO, LocalModel

OWNER = "lorebook"


@dataclass(frozen=True)
class Chosen:
    """The model that answers a request, the adapters that act on it, and what the answer calls them."""

    model: LocalModel
    adapters: tuple[AdapterUse, ...]
    name: str


async def listed(parts: Parts) -> list[dict[str, Any]]:
    """Return the models on this machine, then the adapters that can be used, each as OpenAI describes a model."""
    models, adapters = await asyncio.to_thread(lambda: (parts.models.known(), parts.adapters.known()))
    bases = [_described(model.name, model.path) for model in models if model.installed]
    usable = [adapter for adapter in adapters if not adapter.damaged]
    return bases + [_described(adapter.name, adapter.path, adapter.base) for adapter in usable]


async def described(parts: Parts, name: str) -> dict[str, Any]:
    """Return one of `listed`; raises NotFound."""
    for model in await listed(parts):
        if model["id"] == name:
            return model
    raise NotFound(f"There is no model {ascii(name)[1:-1]}.", "GET /v1/models lists those that are here.")


async def choose(parts: Parts, body: Generating) -> Chosen:
    """Return what a request's `model` and `lora` mean; the model is brought here first where it is not.

    Raises NotFound for an unknown model, BadRequest for an unknown adapter, Unusable for a damaged file.
    """
    numbered = await asyncio.to_thread(_numbered, parts, body)
    adapters = {adapter.name: adapter for adapter in await asyncio.to_thread(parts.adapters.known)}
    if body.model not in adapters:
        model = await _found(parts, parts.settings.model if body.model == AUTO else body.model)
        return Chosen(model, parts.adapters.chosen(numbered), model.name)
    adapter = adapters[body.model]
    if adapter.damaged:
        raise Unusable(adapter.damaged, "Take it out, or bring the file again.")
    scales = {adapter.name: 1.0, **{use.name: use.scale for use in numbered or ()}}
    uses = tuple(AdapterUse(name, scale) for name, scale in scales.items())
    return Chosen(await _base(parts, adapter), uses, adapter.name)


def _numbered(parts: Parts, body: Generating) -> tuple[AdapterUse, ...] | None:
    return None if body.lora is None else parts.adapters.numbered([(use.id, use.scale) for use in body.lora])


async def _base(parts: Parts, adapter: AdapterInfo) -> LocalModel:
    """Return the model that an adapter was made for, where its file names one that is here; else the one in use."""
    models: Sequence[ModelInfo] = await asyncio.to_thread(parts.models.known) if adapter.base else ()
    for model in models:
        if model.installed and model.name.casefold() == adapter.base.casefold():
            return await _found(parts, model.name)
    return parts.engines.current or await _found(parts, parts.settings.model)


async def _found(parts: Parts, name: str) -> LocalModel:
    return await parts.models.find(name, lambda progress: None)


def _described(name: str, path: str, parent: str | None = None) -> dict[str, Any]:
    """Return a model in OpenAI's shape; an adapter has a `parent` too, as vLLM tells it."""
    try:
        created = int(Path(path).stat().st_mtime)
    except OSError:  # it went away meanwhile
        created = 0
    described = {"id": name, "object": "model", "created": created, "owned_by": OWNER}
    return described if parent is None else {**described, "parent": parent or None}
