"""The model room, as it is handed to the routes and to `Engines`."""

from __future__ import annotations

import asyncio
from pathlib import Path

from lorebook_api.home import Home
from lorebook_api.state import ModelInfo
from lorebook_daemon.app.elsewhere import models_elsewhere
from lorebook_daemon.app.engines import Engines, LoadedEngine, Report
from lorebook_daemon.app.parts import Models
from lorebook_daemon.app.threads import in_thread
from lorebook_daemon.engine.process import EngineProcess
from lorebook_daemon.engine.remote.engine import RemoteEngine
from lorebook_daemon.models import pull, shelf
from lorebook_daemon.models.choose import remember_speed
from lorebook_daemon.models.shelf import LocalModel
from lorebook_daemon.settings import Settings


def models_at(home: Home, settings: Settings) -> Models:
    """Return the functions over the models of `home`, or of the server where the engine is elsewhere.

    With `settings.offline` none of them reaches for the network.
    """
    here = _models_here(home, settings)
    return here if settings.engine == "llama" else models_elsewhere(here, settings)


def _models_here(home: Home, settings: Settings) -> Models:
    auto: LocalModel | None = None

    async def find(name: str, report: Report) -> LocalModel:
        """Bring the model; `auto` is chosen once: the memory that it takes would choose a smaller one next time."""
        nonlocal auto
        if name == shelf.AUTO and auto is not None and auto.path.is_file():
            return auto
        model = await in_thread(lambda relay: pull.ensure(name, home, relay, settings.offline), report)
        if name == shelf.AUTO:
            auto = model
        return model

    async def bring(name: str, report: Report) -> ModelInfo:
        return _info(await in_thread(lambda relay: pull.pull(name, home, relay, settings.offline), report))

    def file(name: str) -> Path | None:
        model = shelf.local_model(name, home)
        return model.path if model else None

    def remove(name: str) -> None:
        shelf.remove(name, home)

    return Models(
        find=find,
        pull=bring,
        known=lambda: shelf.list_models(home),
        add=lambda path: _info(shelf.add(path, home)),
        file=file,
        remove=remove,
    )


def engines_at(home: Home, settings: Settings) -> Engines:
    """Return the engines that `settings.engine` names: child processes, or a server elsewhere."""
    load = _LOADS[settings.engine]
    return Engines(lambda model, report: load(model, home, settings, report))


async def _load_here(model: LocalModel, home: Home, settings: Settings, report: Report) -> LoadedEngine:
    engine = await EngineProcess.start(model.path, model.name, settings, home, report)
    try:
        await asyncio.to_thread(remember_speed, home, model.name, engine.speed)
    except BaseException:  # cancelled, or the disk is full: nobody else knows of this process
        await engine.close()
        raise
    return engine


async def _load_elsewhere(model: LocalModel, home: Home, settings: Settings, report: Report) -> LoadedEngine:
    return await RemoteEngine.start(model.name, settings)


_LOADS = {"llama": _load_here, "openai": _load_elsewhere}


def _info(model: LocalModel) -> ModelInfo:
    return ModelInfo(model.name, str(model.path), _size(model.path), model.origin, installed=True)


def _size(path: Path) -> int:
    """Return the bytes of a file, or of the files of an embedder's folder."""
    if path.is_dir():
        return sum(file.stat().st_size for file in path.iterdir())
    return path.stat().st_size
