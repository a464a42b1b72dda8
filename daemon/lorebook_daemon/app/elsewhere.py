"""The model room where the engine is a server elsewhere: its models answer, none is brought to this machine."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

from lorebook_api.state import ModelInfo
from lorebook_daemon.app.engines import Report
from lorebook_daemon.app.parts import Models
from lorebook_daemon.engine.remote.address import address_of
from lorebook_daemon.engine.remote.engine import AUTO, model_named, served_models
from lorebook_daemon.models.shelf import LocalModel
from lorebook_daemon.settings import Settings


def models_elsewhere(here: Models, settings: Settings) -> Models:
    """Return the functions over the server's models; files are still brought, added and removed `here`.

    A model of the server has no path. Every function that asks the server raises what `RemoteEngine.start` raises.
    """

    async def find(name: str, report: Report) -> LocalModel:
        found = await model_named(name, settings)
        return LocalModel(found, Path(), None, address_of(settings).host)

    return replace(here, find=find, known=lambda: _known(settings))


def _known(settings: Settings) -> list[ModelInfo]:
    """Return the server's models; called in a thread that has no event loop."""
    names, origin = asyncio.run(served_models(settings)), address_of(settings).host
    default = names[0] if names and settings.model == AUTO else settings.model
    return [ModelInfo(name, "", 0, origin, True, default=name == default) for name in names]
