"""The app's parts made of fakes, and a real server around them."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

import fakes
from lorebook_api.asking import Answer
from lorebook_api.discovery import Daemon
from lorebook_api.errors import NotFound
from lorebook_api.home import find_home
from lorebook_api.indexing import FileChange, IndexReport, Progress, RootInfo
from lorebook_api.state import ModelInfo
from lorebook_daemon.app.activity import Activity
from lorebook_daemon.app.adapterroom import Adapters
from lorebook_daemon.app.application import create_app
from lorebook_daemon.app.conversations import Conversations
from lorebook_daemon.app.doings import Doings
from lorebook_daemon.app.endpoint import listen
from lorebook_daemon.app.engines import Engines
from lorebook_daemon.app.evalroom import EvalRoom
from lorebook_daemon.app.guard import Credentials
from lorebook_daemon.app.jobs import Jobs
from lorebook_daemon.app.jobstore import JobStore
from lorebook_daemon.app.opinions import Opinions
from lorebook_daemon.app.parts import Models, Parts
from lorebook_daemon.app.roots import Indexes, NamedEmbedder, Roots
from lorebook_daemon.app.running import Running
from lorebook_daemon.app.server import Server
from lorebook_daemon.app.teachroom import Room, Teaching
from lorebook_daemon.app.warming import Warmer
from lorebook_daemon.app.watching import Watching
from lorebook_daemon.engine.protocol import Message, Priority, Prompt, Token, Turn
from lorebook_daemon.index.feedback import FeedbackStore
from lorebook_daemon.index.filters import Reach
from lorebook_daemon.index.passage import Passage
from lorebook_daemon.index.search import Hit
from lorebook_daemon.models.shelf import LocalModel
from lorebook_daemon.settings import Settings

TOKEN = "a-token-for-tests"
HOST = "127.0.0.1:4321"
AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}


class FakeIndex:
    """The .txt files of a root as of the last run: one passage a file, scored by shared words."""

    def __init__(self, shelf: FakeIndexes, root: Path) -> None:
        self.shelf, self.root = shelf, root
        self.seen: dict[str, str] = {}
        self.refreshed = 0
        self.closed = False

    @property
    def retrieval(self):
        return "hybrid" if self.shelf.vectors.get(self.root) else "lexical"

    def search(self, query, k, filters, *, spread, weights, trace):
        wanted = set(fakes.words(query))
        hits = [
            Hit(n, Passage(path, 1, 1, text, "doc"), len(wanted & set(fakes.words(text))) / max(1, len(wanted)))
            for n, (path, text) in enumerate(sorted(self.seen.items()))
            if not filters.paths or path in filters.paths
        ]
        if trace is not None:
            trace.note("words", [hit.id for hit in hits], [hit.score for hit in hits])
        return sorted((hit for hit in hits if hit.score), key=lambda hit: -hit.score)[:k]

    def passages_of(self, path):
        return [Passage(path, 1, 1, self.seen[path], "doc")] if path in self.seen else []

    def reach(self, filters):
        return Reach(not filters.paths or not set(filters.paths).isdisjoint(self.seen))

    def refresh(self):
        self.refreshed += 1
        self.seen = self.shelf.committed[self.root]

    def info(self):
        count = len(self.seen)
        return RootInfo(str(self.root), count, count, min(count, self.shelf.vectors.get(self.root, 0)), "now")

    def close(self):
        self.closed = True


class FakeIndexes:
    """The index room without files of its own: what runs commit stays in `committed`."""

    def __init__(self) -> None:
        self.committed: dict[Path, dict[str, str]] = {}
        self.vectors: dict[Path, int] = {}
        self.runs: list[tuple[Path, bool]] = []
        self.narrowed: list[Any] = []
        self.held: dict[Path, bool] = {}
        self.ready = False
        self.typed: dict[tuple[Path, str], str] = {}
        self.ended_early = 0
        self.opened: list[FakeIndex] = []
        self.why_not = ""
        self.may_read = asyncio.Event()
        self.may_read.set()
        self.may_embed = asyncio.Event()
        self.may_embed.set()
        self.fails: Exception | None = None

    def open(self, root):
        if root not in self.committed:
            return None
        self.opened.append(FakeIndex(self, root))
        return self.opened[-1]

    def stale(self, root):
        now, then = self._files(root), self.committed.get(root, {})
        return sum(now.get(path) != then.get(path) for path in now.keys() | then.keys())

    async def run(self, root, full, paths=None) -> AsyncIterator[Any]:
        self.runs.append((root, full))
        self.narrowed.append(paths)
        over = False
        try:
            yield Progress("reading files", 0, 1)
            await self.may_read.wait()
            if self.fails:
                over = True
                raise self.fails
            now, then = self._files(root), self.committed.get(root, {})
            self.committed[root] = now
            added, gone = now.keys() - then.keys(), then.keys() - now.keys()
            changed = sum(now[path] != then[path] for path in now.keys() & then.keys())
            changes = tuple(FileChange(path, "added") for path in sorted(added))
            changes += tuple(
                FileChange(path, "changed") for path in sorted(now.keys() & then.keys()) if now[path] != then[path]
            )
            changes += tuple(FileChange(path, "removed") for path in sorted(gone))
            yield IndexReport(str(root), len(now), len(now), len(added), changed, len(gone), (), 0.1, changes=changes)
            yield Progress("embedding passages", 0, len(now))
            if not self.why_not:
                await self.may_embed.wait()
                self.vectors[root] = len(now)
            over = True
        finally:
            self.ended_early += not over

    def hold(self, root, held):
        self.held[root] = held

    def stay_ready(self, ready):
        self.ready = ready

    def put_unsaved(self, root, path, text):
        self.typed[root, path] = text

    def drop_unsaved(self, root, path):
        return self.typed.pop((root, path), None) is not None

    def empty(self, root):
        return self.committed.pop(root, None) is not None

    async def close(self):
        self.ready = False

    def _files(self, root):
        typed = {path: text for (place, path), text in self.typed.items() if place == root}
        return _files(root) | typed

    async def prepare(self, report):
        report(Progress("looking for the embedder"))

    async def embedder(self, report):
        if self.why_not:
            raise NotFound(self.why_not)
        return NamedEmbedder("hash", fakes.HashEmbedder())

    def parts(self) -> Indexes:
        return Indexes(
            open=self.open,
            stale=self.stale,
            run=self.run,
            hold=self.hold,
            stay_ready=self.stay_ready,
            put_unsaved=self.put_unsaved,
            drop_unsaved=self.drop_unsaved,
            empty=self.empty,
            prepare=self.prepare,
            lacking=lambda: self.why_not,
            embedder=self.embedder,
            close=self.close,
        )


async def never(root, say) -> AsyncIterator[Any]:
    """Watch a root to which nothing happens."""
    await asyncio.Event().wait()
    yield None


def _files(root: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in sorted(root.glob("*.txt"))}


async def plain_answer(request, retriever, engine, emit, settings, priority=Priority.ask) -> Answer:
    """Retrieve, then let the engine answer: what the answer room does, without its checks."""
    found = await retriever.retrieve(request.question, request.k)
    await emit("sources", [hit.source() for hit in found.hits])
    prompt = Prompt((Message("user", request.question),), tuple(hit.passage.text for hit in found.hits))
    text = ""
    turn = Turn(priority, request.user)
    async with contextlib.aclosing(engine.generate(prompt, request.sampling, request.max_tokens, (), turn)) as pieces:
        async for piece in pieces:
            if isinstance(piece, Token):
                text += piece.text
                await emit("token", {"text": piece.text})
    sources = tuple(hit.source() for hit in found.hits)
    return Answer(text, False, 1.0, (), (), sources, engine.model, retrieval=found.retrieval, notices=found.notices)


class FakeModels:
    """Every name but `missing` means a model that is here."""

    def __init__(self) -> None:
        self.removed: list[str] = []
        self.added: list[Path] = []
        self.may_find = asyncio.Event()
        self.may_find.set()

    async def find(self, name, report):
        await self.may_find.wait()
        if name == "missing":
            raise NotFound("There is no model missing.", "See `lorebook models list`.")
        return LocalModel(name, Path("/models") / name, None, "lorebook")

    async def pull(self, name, report):
        report(Progress(f"bringing {name}", 1, 2))
        model = await self.find(name, report)
        return ModelInfo(model.name, str(model.path), 2, model.origin, installed=True)

    def parts(self) -> Models:
        return Models(
            self.find,
            self.pull,
            lambda: [ModelInfo("tiny", "/models/tiny", 2, "lorebook", installed=True)],
            self._add,
            lambda name: Path("/models") / name,
            self.removed.append,
        )

    def _add(self, path):
        self.added.append(path)
        return ModelInfo(path.stem, str(path), 2, "added", installed=True)


class Bench:
    """Fakes and the parts made of them; `engine` is what every model loads as."""

    def __init__(self, **changes: Any) -> None:
        self.engine = fakes.FakeEngine()
        self.loads: list[str] = []
        self.may_load = asyncio.Event()
        self.may_load.set()
        self.indexes = FakeIndexes()
        self.models = FakeModels()
        self.stopped = 0
        self.recut: list[str] = []
        activity = Activity()
        engines, settings = Engines(self._load), Settings(model="tiny")
        warmer = Warmer(engines, find_home(), settings)
        roots = Roots(self.indexes.parts(), activity, warmer.indexed)
        models = self.models.parts()
        teaching = Teaching(Room(find_home(), settings, models.find, engines, Adapters(find_home())))
        doings = Doings()
        parts = Parts(
            settings=settings,
            told=Daemon(f"http://{HOST}", TOKEN, 1, "0.1.0", "2030-01-01T00:00:00+00:00"),
            credentials=Credentials(TOKEN, frozenset({HOST})),
            served=(),
            activity=activity,
            running=Running(),
            engines=engines,
            roots=roots,
            recut=self._recut,
            watching=Watching(roots, never),
            models=models,
            adapters=Adapters(find_home()),
            warmer=warmer,
            conversations=Conversations(find_home()),
            evaluations=EvalRoom(find_home(), doings),
            opinions=Opinions(FeedbackStore(find_home().state), settings.feedback),
            teaching=teaching,
            jobs=Jobs(JobStore(find_home().state), {"teach": teaching.work}, activity),
            doings=doings,
            answer=plain_answer,
            stop=self._stop,
        )
        self.parts = dataclasses.replace(parts, **changes)

    def _recut(self, splitter: str) -> Roots:
        self.recut.append(splitter)
        return Roots(self.indexes.parts(), Activity(), lambda root: None)

    async def _load(self, model, report):
        self.loads.append(model.name)
        report(Progress(f"loading {model.name}", 0, 100))
        await self.may_load.wait()
        return self.engine

    def _stop(self):
        self.stopped += 1

    @contextlib.asynccontextmanager
    async def served(self) -> AsyncIterator[str]:
        """Serve the parts with a real uvicorn; yields the url."""
        endpoint = listen(0)
        self.parts = dataclasses.replace(self.parts, credentials=Credentials(TOKEN, endpoint.hosts))
        stop = asyncio.Event()
        server = Server(create_app(self.parts))
        serving = asyncio.create_task(server.run_until(stop, endpoint.sock, lambda: None))
        try:
            yield endpoint.url
        finally:
            stop.set()
            await serving
            await self.parts.roots.close()
            endpoint.close()


def parse_events(text: str) -> list[tuple[str, Any]]:
    """Return the (name, data) pairs of a whole event stream."""
    events = []
    for block in text.split("\n\n"):
        if block and not block.startswith(":"):
            name, data = block.split("\n")
            events.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return events


async def eventually(holds: Callable[[], bool], within_s: float = 15.0) -> None:
    """Wait until `holds()`; fail where it does not in a time that is long enough for a busy machine."""
    async with asyncio.timeout(within_s):
        while not holds():
            await asyncio.sleep(0.005)


def client_of(bench: Bench, raise_server_exceptions: bool = True) -> TestClient:
    """Return a client of the app that knows its token; to be entered where the app's own tasks are wanted."""
    return TestClient(
        create_app(bench.parts),
        base_url=f"http://{HOST}",
        headers=AUTHORIZED,
        raise_server_exceptions=raise_server_exceptions,
    )
