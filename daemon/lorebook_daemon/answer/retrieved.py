"""What the answer asks of retrieval: passages with their roots and scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from lorebook_api.asking import Source
from lorebook_api.retrieval import RankStep
from lorebook_daemon.index.passage import Passage

Beside = Callable[[str, str], Sequence[Passage]]
"""Returns all passages of a file, by its root and its path, in the file's order. Blocking, a few milliseconds."""


@dataclass(frozen=True)
class RootHit:
    """A passage that was found, the root it stands in, and how well it matches."""

    root: str
    passage: Passage
    score: float
    steps: tuple[RankStep, ...] = ()
    """How the score came about, where that was asked for."""

    def source(self) -> Source:
        """Return it as it is shown."""
        cell = self.passage.cell
        return Source(
            path=self.passage.path,
            start_line=self.passage.start_line,
            end_line=self.passage.end_line,
            kind=self.passage.kind,
            score=round(self.score, 4),
            text=self.passage.text,
            cell_id=cell.id if cell else None,
            cell_index=cell.index if cell else None,
            execution_count=cell.execution_count if cell else None,
            root=self.root,
        )


def nothing_beside(root: str, path: str) -> Sequence[Passage]:
    """Return no passages: of where those that were found stand nothing more is known."""
    return ()


@dataclass(frozen=True)
class Retrieved:
    """Passages, best first; how they were found; what the person should know about it; what stands beside them."""

    hits: tuple[RootHit, ...]
    retrieval: Literal["hybrid", "lexical"]
    notices: tuple[str, ...] = ()
    beside: Beside = nothing_beside


class Retriever(Protocol):
    """Finds passages in the roots that were asked about."""

    async def retrieve(self, query: str, k: int) -> Retrieved:
        """Return at most `k` passages, best first."""
        ...
