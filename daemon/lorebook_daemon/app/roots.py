"""The indexes that the daemon has open, by root: made fresh before they are searched, searched together."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from lorebook_api.errors import Cancelled, Conflict, LorebookError
from lorebook_api.schema import IndexReport, Kind, RootInfo
from lorebook_daemon.answer.retrieved import Retrieved, RootHit
from lorebook_daemon.app.activity import Activity
from lorebook_daemon.app.engines import Report
from lorebook_daemon.app.indexing import Events, IndexRun
from lorebook_daemon.index.embed import Embedder
from lorebook_daemon.index.passage import Passage

SOON = 256
"""With at most so many vectors to make, a search waits for them (some seconds, with a bar) rather than do without."""


class Hit(Protocol):
    """A passage that was found, and how well it fits."""

    @property
    def passage(self) -> Passage:
        """The passage."""
        ...

    @property
    def score(self) -> float:
        """Higher is better; comparable between roots."""
        ...


class Index(Protocol):
    """An opened index; its methods may be called from any thread."""

    def search(self, query: str, k: int, kind: Kind | None, *, spread: bool) -> Sequence[Hit]:
        """Return the best passages, best first; `spread` lets a file have few of the first places."""
        ...

    def passages_of(self, path: str) -> Sequence[Passage]:
        """Return a file's passages in its order, none where it is not there."""
        ...

    def refresh(self) -> None:
        """Read the index anew where it was written since."""
        ...

    @property
    def retrieval(self) -> Literal["hybrid", "lexical"]:
        """Whether vectors, some or all, take part in a search."""
        ...

    def info(self) -> RootInfo:
        """Return what it holds, as of the last refresh."""
        ...

    def close(self) -> None:
        """Give its files back."""
        ...


@dataclass(frozen=True)
class NamedEmbedder:
    """An embedder that is loaded, and the name of its model."""

    name: str
    embedder: Embedder


@dataclass(frozen=True)
class Indexes:
    """The index room's functions, as they are handed in."""

    open: Callable[[Path], Index | None]
    """Opens the index of a root; None where it was never indexed."""
    stale: Callable[[Path], int]
    """Counts the files of an indexed root that differ from its index."""
    run: Callable[[Path, bool], Events]
    """Indexes a root, wholly anew where the flag says so."""
    prepare: Callable[[Report], Awaitable[None]]
    """Brings the embedder here where that can be; raises nothing where it cannot."""
    lacking: Callable[[], str]
    """Returns why there is no embedder, empty where there is one."""
    embedder: Callable[[Report], Awaitable[NamedEmbedder]]
    """Returns the embedder that the indexes are made with, brought here first; raises what bringing it raised."""


@dataclass(frozen=True)
class Opened:
    """Roots that are fresh, and what the person should know about them: a Retriever for the answer."""

    indexes: tuple[tuple[Path, Index], ...]
    retrieval: Literal["hybrid", "lexical"]
    notices: tuple[str, ...]

    async def search(self, query: str, k: int, kind: Kind | None = None, *, spread: bool = True) -> tuple[RootHit, ...]:
        """Return the best `k` passages of all roots, best first."""
        searches = (asyncio.to_thread(index.search, query, k, kind, spread=spread) for _, index in self.indexes)
        found = await asyncio.gather(*searches)
        hits = [
            RootHit(str(root), hit.passage, hit.score)
            for (root, _), of_root in zip(self.indexes, found, strict=True)
            for hit in of_root
        ]
        return tuple(sorted(hits, key=lambda hit: -hit.score)[:k])

    async def retrieve(self, query: str, k: int) -> Retrieved:
        """Return the passages to answer from: who asks for a fact is not served by a second file's passages."""
        return Retrieved(await self.search(query, k, spread=False), self.retrieval, self.notices, self.beside)

    def beside(self, root: str, path: str) -> Sequence[Passage]:
        """Return all passages of a file in its order, none where it is not there. Blocking, a few milliseconds."""
        return next((index.passages_of(path) for top, index in self.indexes if str(top) == root), ())


class Roots:
    """Opens indexes, keeps them fresh, and runs at most one indexer a root."""

    def __init__(self, indexes: Indexes, activity: Activity, indexed: Callable[[Path], None]) -> None:
        """Call `indexed` with a root whenever its index was brought up to date."""
        self._indexes = indexes
        self._activity = activity
        self._indexed = indexed
        self._opened: dict[Path, Index] = {}
        self._outdated: list[Index] = []
        self._runs: dict[Path, IndexRun] = {}

    def infos(self) -> tuple[RootInfo, ...]:
        """Return what each open index holds."""
        return tuple(index.info() for index in self._opened.values())

    async def knows(self, root: Path) -> bool:
        """Return whether there is an index of `root`."""
        return await self._known(root) is not None

    def running(self) -> tuple[str, ...]:
        """Return the roots that are being indexed now."""
        return tuple(str(root) for root in self._runs)

    async def open(self, roots: Sequence[Path], report: Report) -> Opened:
        """Bring each root up to date and open it; raises what the indexer failed with."""
        await self._prepare(report)
        notices = [notice for root in roots for notice in await self._freshen(root, report)]
        opened = tuple([(root, await self._reopened(root)) for root in roots])
        notices += [_empty(root) for root, index in opened if not index.info().passages]
        lacking = self._indexes.lacking()
        notices += [lacking] if lacking else [notice for root, index in opened for notice in _short_of(root, index)]
        by_meaning = all(index.retrieval == "hybrid" for _, index in opened if index.info().passages)
        return Opened(opened, "hybrid" if opened and by_meaning else "lexical", tuple(notices))

    async def start(self, root: Path, full: bool = False) -> IndexRun:
        """Return the run that brings `root` up to date: the one in hand, or a new one.

        One that only makes vectors is ended first: it would not see what changed since, and goes on later where
        it was. Raises Conflict where a full run is asked for while another is still reading files.
        """
        await self._prepare(lambda progress: None)
        run = self._runs.get(root)
        if run is not None and not run.searchable:
            if full:
                raise Conflict(f"{root} is being indexed already.", "Wait until that is done.")
            return run
        if run is not None:
            await run.cancel()
        return self._begin(root, full)

    async def embedder(self, report: Report) -> NamedEmbedder:
        """Return the embedder that the indexes are made with, brought here first; raises LorebookError."""
        return await self._indexes.embedder(report)

    async def close(self) -> None:
        """End every run and close every index."""
        for run in list(self._runs.values()):
            await run.cancel()
        for index in (*self._opened.values(), *self._outdated):
            index.close()
        self._opened.clear()

    async def _prepare(self, report: Report) -> None:
        """Have the embedder; indexes that were opened without it are opened again (others may still search them)."""
        lacked = self._indexes.lacking()
        await self._indexes.prepare(report)
        if lacked and not self._indexes.lacking():
            self._outdated += self._opened.values()
            self._opened.clear()

    def _begin(self, root: Path, full: bool) -> IndexRun:
        if root in self._runs:  # another request was quicker while this one waited
            return self._runs[root]
        run = IndexRun(
            self._indexes.run(root, full), lambda: self._indexed(root), lambda ended: self._forget(root, ended)
        )
        self._runs[root] = run
        self._activity.begin()
        return run

    def _forget(self, root: Path, run: IndexRun) -> None:
        self._activity.end()
        if self._runs.get(root) is run:
            del self._runs[root]

    async def _freshen(self, root: Path, report: Report) -> list[str]:
        """Index what changed, wait for it, and return what to say of it; vectors follow in the background."""
        first = await self._known(root) is None
        run = await self._run_needed(root, first)
        if run is None:
            return []
        with run.heard_by(report):
            notices = [] if run.searchable else _told(await run.report(), first)
            info = (await self._reopened(root)).info()
            if 0 < info.passages - info.vectors <= SOON and not self._indexes.lacking():
                # What goes wrong with vectors leaves a search by words, which `open` says.
                with contextlib.suppress(LorebookError):
                    await run.finished()
        return notices

    async def _run_needed(self, root: Path, first: bool) -> IndexRun | None:
        run = self._runs.get(root)
        if run is not None and not run.searchable:
            return run
        if first or (await asyncio.to_thread(self._indexes.stale, root)) > 0:
            return await self.start(root)
        if run is None and not self._indexes.lacking() and await self._lacks_vectors(root):
            return await self.start(root)
        return run

    async def _lacks_vectors(self, root: Path) -> bool:
        info = (await self._reopened(root)).info()
        return info.vectors < info.passages

    async def _known(self, root: Path) -> Index | None:
        """Return the index of `root`, opened, None where it was never indexed."""
        if root not in self._opened:
            index = await asyncio.to_thread(self._indexes.open, root)
            if index is None:
                return None
            self._keep(root, index)
        return self._opened[root]

    def _keep(self, root: Path, index: Index) -> None:
        other = self._opened.setdefault(root, index)
        if other is not index:  # two requests opened it at once
            index.close()

    async def _reopened(self, root: Path) -> Index:
        index = await self._known(root)
        if index is None:
            raise Cancelled(f"The index of {root} went away while it was read.", "Try again.")
        await asyncio.to_thread(index.refresh)
        return index


def _empty(root: Path) -> str:
    return f"{root} holds nothing that can be indexed. What was left out, and why: lorebook index {root}"


def _short_of(root: Path, index: Index) -> list[str]:
    """Return what a search by meaning will miss."""
    info = index.info()
    if info.vectors < info.passages:
        return [f"Search by meaning covers {info.vectors:,} of {info.passages:,} passages of {root} so far."]
    return []


def _told(report: IndexReport, first: bool) -> list[str]:
    changed = report.added + report.changed + report.removed
    if first:
        return [*report.notices, f"Indexed {report.root}: {_files(report.files)}."]
    return [*report.notices, *([f"Index updated: {_files(changed)} changed."] if changed else [])]


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"
