"""A model, and the adapters that act on it, held for a measurement."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from lorebook_api.asking import AdapterUse
from lorebook_daemon.app.engines import Report
from lorebook_daemon.app.evalroom import Taken
from lorebook_daemon.app.parts import Parts
from lorebook_daemon.evaluate.task import Subject
from lorebook_daemon.models.shelf import LocalModel


async def found_model(parts: Parts, model: str, report: Report) -> LocalModel:
    """Return the model of a name, brought here where it is not; raises NotFound."""
    return await parts.models.find(parts.settings.model if model == "auto" else model, report)


@asynccontextmanager
async def taking(parts: Parts, model: str, adapters: tuple[AdapterUse, ...], report: Report) -> AsyncIterator[Taken]:
    """Have a model in memory for the block, with the adapters named, or those that act where none are."""
    chosen = parts.adapters.chosen(adapters or None)
    found = await found_model(parts, model, report)
    async with parts.engines.using(found, report) as engine:
        yield Taken(found, Subject(engine, chosen))
