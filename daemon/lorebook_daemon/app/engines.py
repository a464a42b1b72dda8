"""The one engine in memory: shared by all who want its model; who wants another waits until those have left."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Literal, Protocol

from lorebook_api.errors import DaemonUnavailable
from lorebook_api.indexing import Progress
from lorebook_daemon.engine.protocol import Engine
from lorebook_daemon.models.shelf import LocalModel

Report = Callable[[Progress], None]
"""Takes how far long work is; called in the event loop's thread."""


class LoadedEngine(Engine, Protocol):
    """An engine that can be ended."""

    async def close(self) -> None:
        """End the engine's process; nothing happens where it has ended already."""
        ...


@dataclass(eq=False)
class _Place:
    """A place in the line: what must be in memory for its turn to come, and the future by which it is called."""

    model: LocalModel | None
    """Whose engine is wanted; None where one is wanted gone."""
    suits: Callable[[LocalModel | None], bool]
    report: Report
    spare: bool = False
    """It is nobody's: whoever holds it leaves as soon as the engine is wanted."""
    called: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


@dataclass(frozen=True)
class Spare:
    """An engine that is in memory and that nobody uses."""

    model: LocalModel
    engine: LoadedEngine


class Engines:
    """Keeps one loaded engine; `load` brings a model up and ends its process itself where it is cancelled.

    First come, first served: once somebody waits for another model, later ones for the loaded one wait behind. Two
    engines never live at the same time, since two may not fit into memory.
    """

    def __init__(self, load: Callable[[LocalModel, Report], Awaitable[LoadedEngine]]) -> None:
        self._load = load
        self._line: deque[_Place] = deque()
        self._inside: set[_Place] = set()
        self._engine: LoadedEngine | None = None
        self._model: LocalModel | None = None
        self._arriving: LocalModel | None = None
        self._change: asyncio.Task[None] | None = None
        self._loading = False
        self._closed = False
        self._comers = asyncio.Event()

    @property
    def state(self) -> Literal["none", "loading", "ready"]:
        """Whether a model is in memory."""
        if self._arriving is not None:
            return "loading"
        return "none" if self._engine is None else "ready"

    @property
    def current(self) -> LocalModel | None:
        """The model in memory or on its way there, None where there is none."""
        return self._arriving or self._model

    @property
    def model(self) -> str:
        """The name of the model in memory or on its way there, empty where there is none."""
        return "" if self.current is None else self.current.name

    @property
    def depth(self) -> int:
        """How many requests use the engine or wait for one."""
        return sum(not place.spare for place in (*self._inside, *self._line))

    @asynccontextmanager
    async def using(self, model: LocalModel, report: Report) -> AsyncIterator[LoadedEngine]:
        """Hold the engine of `model`, beside others who use it, until the block is left; load it where need be.

        Raises what loading raises, to each who waited for it; the next request tries again. Raises
        DaemonUnavailable after `close`. A task that is cancelled while it waits leaves the line.
        """
        async with self._turn(_Place(model, lambda loaded: loaded == model, report)):
            if self._engine is None:  # `close` came between the call and this
                raise _ended()
            yield self._engine

    @asynccontextmanager
    async def joined(self) -> AsyncIterator[LoadedEngine | None]:
        """Hold the engine that is in memory, whatever its model, until the block is left; never wait for one.

        None where there is none, or where somebody waits for another model.
        """
        if self._model is None or self._line:
            yield None
            return
        async with self.using(self._model, lambda progress: None) as engine:
            yield engine

    @asynccontextmanager
    async def spare(self) -> AsyncIterator[Spare | None]:
        """Hold the engine in memory for work that nobody waits for; yields None where there is none, or it is in use.

        The block is to be left as soon as `wanted` returns: another model's users wait for that.
        """
        model, engine = self._model, self._engine
        if model is None or engine is None or self.depth or self._change is not None or self._closed:
            yield None
            return
        place = _Place(model, lambda loaded: loaded == model, lambda progress: None, spare=True)
        async with self._turn(place):
            yield Spare(model, engine)

    async def wanted(self) -> None:
        """Wait until somebody uses an engine, or waits for one."""
        if not self.depth:
            await self._comers.wait()

    @asynccontextmanager
    async def without(self, path: Path) -> AsyncIterator[None]:
        """Have no engine of the file at `path` in memory for the block: wait for its users, then end it.

        Users of another model may come and go meanwhile, but nothing is loaded.
        """
        file = path.resolve()
        place = _Place(None, lambda loaded: loaded is None or loaded.path.resolve() != file, lambda progress: None)
        async with self._turn(place):
            yield

    async def close(self) -> None:
        """End the engine even under its users, and turn everybody away from now on: for the end of the daemon."""
        self._closed = True
        while self._line:
            _refuse(self._line.popleft(), _ended())
        if self._change is not None:
            self._give_up_loading()
            await asyncio.wait({self._change})
        await self._drop()

    @asynccontextmanager
    async def _turn(self, place: _Place) -> AsyncIterator[None]:
        if self._closed:
            raise _ended()
        ahead = [other for other in (*self._inside, *self._line) if not other.spare]
        self._line.append(place)
        if not place.spare:
            self._comers.set()  # wakes those who wait now
            self._comers.clear()
        try:
            self._advance()
            if not place.called.done() and any(other.model != place.model for other in ahead):
                place.report(Progress(f"waiting for {len(ahead)} before this"))
            await place.called
            yield
        finally:
            self._leave(place)

    def _leave(self, place: _Place) -> None:
        if place in self._line:
            self._line.remove(place)
        self._inside.discard(place)
        if self._loading and not self._first_for(self._arriving):
            self._give_up_loading()
        self._advance()

    def _advance(self) -> None:
        """Call those at the head of the line whom the engine suits; where it does not, replace it once it is free."""
        while self._line and self._change is None:
            place = self._line[0]
            if place.called.done():  # cancelled, and its task has not run yet
                self._line.popleft()
            elif place.suits(self._model):
                self._inside.add(self._line.popleft())
                place.called.set_result(None)
            elif self._inside:
                return
            else:
                self._change = asyncio.create_task(self._replace(place.model))
                self._change.add_done_callback(self._replaced)

    async def _replace(self, model: LocalModel | None) -> None:
        """End the engine in memory, then load `model` if the first in line still waits for it."""
        self._arriving = model
        try:
            await self._drop()
            if model is not None and self._first_for(model):
                self._loading = True
                self._engine = await self._load(model, self._tell)
                self._model = model
        except Exception as error:  # whatever it is, those who wait are told: it is nobody else's to handle
            for place in self._first_for(model):
                _refuse(place, error)
                self._line.remove(place)
        finally:
            self._arriving, self._loading = None, False

    def _replaced(self, change: asyncio.Task[None]) -> None:
        self._change = None
        self._advance()

    def _first_for(self, model: LocalModel | None) -> list[_Place]:
        """Return those at the head of the line who wait for the same."""
        return list(takewhile(lambda place: place.model == model, self._line))

    def _tell(self, progress: Progress) -> None:
        for place in self._first_for(self._arriving):
            place.report(progress)

    def _give_up_loading(self) -> None:
        if self._loading and self._change is not None:
            self._loading = False  # cancelled once only: a second time would cut its cleaning up short
            self._change.cancel()

    async def _drop(self) -> None:
        engine, self._engine, self._model = self._engine, None, None
        if engine is not None:
            await engine.close()


def _refuse(place: _Place, error: Exception) -> None:
    if not place.called.done():
        place.called.set_exception(error)


def _ended() -> DaemonUnavailable:
    return DaemonUnavailable("The daemon is ending.", "Ask again: it starts by itself.")
