"""The one engine in memory: loaded when it is asked for, replaced when another model is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Literal, Protocol

from lorebook_api.schema import Progress
from lorebook_daemon.engine.protocol import Engine
from lorebook_daemon.models.shelf import LocalModel

Report = Callable[[Progress], None]
"""Takes how far long work is; called in the event loop's thread."""


class LoadedEngine(Engine, Protocol):
    """An engine that can be ended."""

    async def close(self) -> None:
        """End the engine's process; nothing happens where it has ended already."""
        ...


class Engines:
    """Keeps one loaded engine; `load` brings a model up and ends its process itself where it is cancelled."""

    def __init__(self, load: Callable[[LocalModel, Report], Awaitable[LoadedEngine]]) -> None:
        self._load = load
        self._lock = asyncio.Lock()
        self._model: LocalModel | None = None
        self._engine: LoadedEngine | None = None
        self._loading = False

    @property
    def state(self) -> Literal["none", "loading", "ready"]:
        """Whether a model is in memory."""
        if self._loading:
            return "loading"
        return "none" if self._engine is None else "ready"

    @property
    def model(self) -> str:
        """The name of the model in memory or on its way there, empty where there is none."""
        return "" if self._model is None else self._model.name

    async def get(self, model: LocalModel, report: Report) -> LoadedEngine:
        """Return the engine of `model`; another one is ended first, since two may not fit into memory."""
        async with self._lock:
            if self._engine is not None and self._model == model:
                return self._engine
            await self._drop()
            self._model, self._loading = model, True
            try:
                self._engine = await self._load(model, report)
            finally:
                self._loading = False
                if self._engine is None:
                    self._model = None
            return self._engine

    async def close(self) -> None:
        """End the engine's process."""
        async with self._lock:
            await self._drop()

    async def _drop(self) -> None:
        engine, self._engine, self._model = self._engine, None, None
        if engine is not None:
            await engine.close()
