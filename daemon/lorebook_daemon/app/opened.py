"""Roots that are open and fresh: what is searched for a request, all of them together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Protocol

from lorebook_api.indexing import RootInfo
from lorebook_api.retrieval import Filters
from lorebook_daemon.answer.retrieved import Retrieved, RootHit
from lorebook_daemon.index.filters import Reach
from lorebook_daemon.index.learning import Weights
from lorebook_daemon.index.passage import Passage
from lorebook_daemon.index.trace import Trace

ALL = Filters()


class Hit(Protocol):
    """A passage that was found, and how well it fits."""

    @property
    def id(self) -> int:
        """What a trace knows it by."""
        ...

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

    def search(
        self,
        query: str,
        k: int,
        filters: Filters,
        *,
        spread: bool,
        weights: Weights,
        trace: Trace | None,
    ) -> Sequence[Hit]:
        """Return the best passages within filters, best first; `spread` lets a file have few of the first places."""
        ...

    def reach(self, filters: Filters) -> Reach:
        """Return how far filters reach here; raises BadRequest for one that is none."""
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
class Opened:
    """Roots that are fresh, and what the person should know about them: a Retriever for the answer."""

    indexes: tuple[tuple[Path, Index], ...]
    retrieval: Literal["hybrid", "lexical"]
    notices: tuple[str, ...]
    filters: Filters = ALL
    weights: Weights = field(default_factory=dict)

    async def within(self, filters: Filters) -> Opened:
        """Return the same roots, searched within `filters`; what these leave out wholly is among the notices."""
        if filters == ALL:
            return self
        reaches = await asyncio.gather(*(asyncio.to_thread(index.reach, filters) for _, index in self.indexes))
        return replace(self, filters=filters, notices=(*self.notices, *_told(reaches)))

    async def search(self, query: str, k: int, *, spread: bool = True, explain: bool = False) -> tuple[RootHit, ...]:
        """Return the best `k` passages of all roots, best first; with `explain` each tells how its score came about."""
        searches = (self._search(root, index, query, k, spread, explain) for root, index in self.indexes)
        found = await asyncio.gather(*searches)
        return tuple(sorted((hit for of_root in found for hit in of_root), key=lambda hit: -hit.score)[:k])

    async def retrieve(self, query: str, k: int) -> Retrieved:
        """Return the passages to answer from: who asks for a fact is not served by a second file's passages."""
        return Retrieved(await self.search(query, k, spread=False), self.retrieval, self.notices, self.beside)

    def beside(self, root: str, path: str) -> Sequence[Passage]:
        """Return all passages of a file in its order, none where it is not there. Blocking, a few milliseconds."""
        return next((index.passages_of(path) for top, index in self.indexes if str(top) == root), ())

    async def _search(self, root: Path, index: Index, query: str, k: int, spread: bool, explain: bool) -> list[RootHit]:
        trace = Trace() if explain else None
        hits = await asyncio.to_thread(
            index.search, query, k, self.filters, spread=spread, weights=self.weights, trace=trace
        )
        return [RootHit(str(root), hit.passage, hit.score, trace.of(hit.id) if trace else ()) for hit in hits]


def _told(reaches: Sequence[Reach]) -> list[str]:
    """Return what matches nothing in any root; where it is only all filters together that do, that."""
    unmatched = [text for text in reaches[0].unmatched if all(text in other.unmatched for other in reaches[1:])]
    if not unmatched and not any(reach.some for reach in reaches):
        return ["Each filter matches something, but no passage is within all of them."]
    return unmatched
