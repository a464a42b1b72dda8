"""What the answer asks of retrieval: passages with their roots and scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from lorebook_api.schema import Source
from lorebook_daemon.index.passage import Passage


@dataclass(frozen=True)
class RootHit:
    """A passage that was found, the root it stands in, and how well it matches."""

    root: str
    passage: Passage
    score: float

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


@dataclass(frozen=True)
class Retrieved:
    """Passages, best first; how they were found; and what the person should know about it."""

    hits: tuple[RootHit, ...]
    retrieval: Literal["hybrid", "lexical"]
    notices: tuple[str, ...] = ()


class Retriever(Protocol):
    """Finds passages in the roots that were asked about."""

    async def retrieve(self, query: str, k: int) -> Retrieved:
        """Return at most `k` passages, best first."""
        ...
