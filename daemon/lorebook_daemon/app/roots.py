"""The indexes that the daemon has open, by root: made fresh before they are searched, searched together."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lorebook_api.errors import Cancelled, Conflict, LorebookError
from lorebook_api.indexing import Indexing, IndexReport, RootInfo
from lorebook_daemon.app.activity import Activity
from lorebook_daemon.app.engines import Report
from lorebook_daemon.app.holding import Holding
from lorebook_daemon.app.indexing import Events, IndexRun
from lorebook_daemon.app.opened import ALL, Hit, Index, Opened
from lorebook_daemon.index.embed import Embedder
from lorebook_daemon.index.learning import EVEN, Weights
from lorebook_daemon.index.trace import Trace

SOON = 256
"""With at most so many vectors to make, a search waits for them (some seconds, with a bar) rather than do without."""
FEW = 0.05
"""Up to this share of all passages nobody waits for: they are found by their words."""
TRUSTED_FROM = 2000
"""Files of a root: from here on looking at all of them takes longer than a search, and a watch is relied on instead"""
TRUSTED_S = 60.0
"""for so long after the last look: systems lose events."""


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
    run: Callable[[Path, bool, Collection[str] | None], Events]
    """Indexes a root, wholly anew where the flag says so, or only where something happened to some paths."""
    hold: Callable[[Path, bool], None]
    """Makes the run of a root wait, or go on."""
    stay_ready: Callable[[bool], None]
    """Has the next run begin at once from now on, which costs some memory, or no longer."""
    put_unsaved: Callable[[Path, str, str], None]
    """Puts what a person typed in place of a file of an indexed root, until that is saved."""
    drop_unsaved: Callable[[Path, str], bool]
    """Takes that back; False where there was nothing."""
    empty: Callable[[Path], bool]
    """Empties the index of a root, whether that is still there or not; False where there is none."""
    close: Callable[[], Awaitable[None]]
    """Ends what was started ahead."""
    prepare: Callable[[Report], Awaitable[None]]
    """Brings the embedder here where that can be; raises nothing where it cannot."""
    lacking: Callable[[], str]
    """Returns why there is no embedder, empty where there is one."""
    embedder: Callable[[Report], Awaitable[NamedEmbedder]]
    """Returns the embedder that the indexes are made with, brought here first; raises what bringing it raised."""


class Roots:
    """Opens indexes, keeps them fresh, and runs at most one indexer a root."""

    def __init__(
        self,
        indexes: Indexes,
        activity: Activity,
        indexed: Callable[[Path], None],
        holding: Holding | None = None,
        weights: Callable[[], Weights] = lambda: EVEN,
    ) -> None:
        """Call `indexed` with a root whenever its index was brought up to date; searches ask for the `weights`."""
        self._indexes = indexes
        self._activity = activity
        self._indexed = indexed
        self._opened: dict[Path, Index] = {}
        self._outdated: list[Index] = []
        self._runs: dict[Path, IndexRun] = {}
        self._holding = holding or Holding(indexes.hold)
        self._weights = weights
        self._looked: dict[Path, float] = {}

    def infos(self) -> tuple[RootInfo, ...]:
        """Return what each open index holds."""
        return tuple(index.info() for index in self._opened.values())

    async def knows(self, root: Path) -> bool:
        """Return whether there is an index of `root`."""
        return await self._known(root) is not None

    def running(self) -> tuple[str, ...]:
        """Return the roots that are being indexed now."""
        return tuple(str(root) for root in self._runs)

    def work(self) -> tuple[Indexing, ...]:
        """Return how far the roots are that are being indexed now."""
        return tuple(run.work(str(root)) for root, run in self._runs.items())

    @property
    def paused(self) -> bool:
        """Whether a person has paused all indexing."""
        return self._holding.paused

    def pause(self, paused: bool) -> None:
        """Hold all runs, and begin none, until they may go on."""
        self._holding.paused = paused
        self._holding.apply(self._runs)

    async def mind_power(self) -> None:
        """Hold runs while the machine is on its battery, until the task is cancelled."""
        await self._holding.mind(lambda: self._runs)

    async def open(self, roots: Sequence[Path], report: Report) -> Opened:
        """Bring each root up to date and open it; raises what the indexer failed with."""
        await self._prepare(report)
        notices = [notice for root in roots for notice in await self._freshen(root, report)]
        opened = tuple([(root, await self._reopened(root)) for root in roots])
        notices += [_STANDS_STILL] if self.paused else []
        notices += [_empty(root) for root, index in opened if not index.info().passages]
        lacking = self._indexes.lacking()
        notices += [lacking] if lacking else [notice for root, index in opened for notice in _short_of(root, index)]
        by_meaning = all(index.retrieval == "hybrid" for _, index in opened if index.info().passages)
        retrieval: Literal["hybrid", "lexical"] = "hybrid" if opened and by_meaning else "lexical"
        return Opened(opened, retrieval, tuple(notices), weights=self._weights())

    async def start(self, root: Path, full: bool = False, paths: Collection[str] | None = None) -> IndexRun:
        """Return the run that brings `root` up to date: the one in hand, or a new one, narrowed to `paths` if given.

        One that only makes vectors is ended first: it would not see what changed since, and goes on later where
        it was. Raises Conflict where a full run is asked for while another is still reading files, and where
        indexing is paused.
        """
        await self._prepare(lambda progress: None)
        run = self._runs.get(root)
        if run is not None and not run.searchable:
            if full:
                raise Conflict(f"{root} is being indexed already.", "Wait until that is done.")
            return run
        if self.paused:
            raise Conflict("Indexing is paused.", "Let it go on: lorebook index --resume")
        if run is not None:
            await run.give_way()
        return self._begin(root, full, paths, run)

    async def follow(self, root: Path, paths: Collection[str] | None) -> IndexReport:
        """Bring `root` up to date after something happened to `paths` (None: anywhere); who watches it calls this.

        Raises what the run failed with.
        """
        run = self._runs.get(root)
        if run is not None and not run.searchable:  # it may have looked there before it happened
            with contextlib.suppress(LorebookError):
                await run.report()
        report = await (await self.start(root, paths=paths)).report()
        if paths is None:
            self._looked[root] = time.monotonic()
        return report

    async def traced(self, root: Path, query: str, k: int) -> tuple[Sequence[Hit], Trace]:
        """Search an index as it is now, as for an answer; return the hits and how they came about.

        Nothing is found where `root` was never indexed.
        """
        trace = Trace()
        index = await self._known(root)
        if index is None:
            return (), trace
        weights = self._weights()
        return await asyncio.to_thread(index.search, query, k, ALL, spread=False, weights=weights, trace=trace), trace

    def unfollow(self, root: Path) -> None:
        """Look at all files of `root` before each search again: it is not watched now."""
        self._looked.pop(root, None)

    def stay_ready(self, ready: bool) -> None:
        """Have the next run begin at once from now on, or no longer."""
        self._indexes.stay_ready(ready)

    def put_unsaved(self, root: Path, path: str, text: str) -> None:
        """Put what a person typed in place of a file, from the next update until that is saved. Blocking."""
        self._indexes.put_unsaved(root, path, text)

    def drop_unsaved(self, root: Path, path: str) -> bool:
        """Take that back; return whether there was something. Blocking."""
        return self._indexes.drop_unsaved(root, path)

    async def forget(self, root: Path) -> bool:
        """Empty the index of `root`; return whether there was one."""
        run = self._runs.get(root)
        if run is not None:
            await run.cancel()
        index = self._opened.pop(root, None)
        if index is not None:
            self._outdated.append(index)
        emptied = await asyncio.to_thread(self._indexes.empty, root)
        if emptied:
            self._indexed(root)
        return emptied

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
        await self._indexes.close()

    async def _prepare(self, report: Report) -> None:
        """Have the embedder; indexes that were opened without it are opened again (others may still search them)."""
        lacked = self._indexes.lacking()
        await self._indexes.prepare(report)
        if lacked and not self._indexes.lacking():
            self._outdated += self._opened.values()
            self._opened.clear()

    def _begin(
        self, root: Path, full: bool, paths: Collection[str] | None = None, before: IndexRun | None = None
    ) -> IndexRun:
        if root in self._runs:  # another request was quicker while this one waited
            if before is not None:
                before.leave_to(self._runs[root])
            return self._runs[root]
        events = self._indexes.run(root, full, paths)
        run = IndexRun(events, lambda: self._indexed(root), lambda ended: self._forget(root, ended), before)
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
            missing = info.passages - info.vectors
            if info.passages * FEW < missing <= SOON and not self._indexes.lacking():
                # What goes wrong with vectors leaves a search by words, which `open` says.
                with contextlib.suppress(LorebookError):
                    await run.finished_or_held()
        return notices

    async def _run_needed(self, root: Path, first: bool) -> IndexRun | None:
        run = self._runs.get(root)
        if run is not None and not run.searchable and not (run.held and not first):
            return run
        if self.paused and not first:
            return None
        if first or not await self._is_fresh(root):
            return await self.start(root)
        if run is None and not self._indexes.lacking() and await self._lacks_vectors(root):
            return await self.start(root)
        return run

    async def _is_fresh(self, root: Path) -> bool:
        """Return whether the index follows the files as they are: by looking, or by a watch that looked lately."""
        looked = self._looked.get(root, 0.0)
        if time.monotonic() - looked < TRUSTED_S and self._opened[root].info().files >= TRUSTED_FROM:
            return True
        fresh = (await asyncio.to_thread(self._indexes.stale, root)) == 0
        if fresh and root in self._looked:
            self._looked[root] = time.monotonic()
        return fresh

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


_STANDS_STILL = "Indexing is paused: what changed since is not searched. It goes on with: lorebook index --resume"


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
