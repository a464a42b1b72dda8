"""Searching, on the wire: what is looked for, which passages may be found, and what was found.

Paths and lines are as in `asking`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["code", "notebook", "doc", "data"]
Rerank = Literal["none", "model", "judge", "cross-encoder"]
Similarity = Literal["cosine", "ip", "l2"]
Rewrite = Literal["none", "follow-up", "identifiers", "hyde", "multi-query"]


@dataclass(frozen=True)
class Filters:
    """Which passages may be found; what is left empty bounds nothing, and what is given must all hold."""

    paths: tuple[str, ...] = ()
    """Globs as `.gitignore` writes them, such as `src/`, `*.md`; `!` takes out, and the last that matches decides."""
    kinds: tuple[Kind, ...] = ()
    languages: tuple[str, ...] = ()
    """Names of grammars, such as `python`, or the ends of file names, such as `py`."""
    modified_since: str = ""
    """ISO 8601, a date or a time; without a zone it is the daemon's."""
    notebooks: tuple[str, ...] = ()
    """Paths of notebooks, or the ends of them: `eda.ipynb`."""
    tags: tuple[str, ...] = ()
    """Tags of a notebook's cells; a cell with one of them may be found."""


@dataclass(frozen=True)
class SearchRequest:
    """Body of `POST /api/search`."""

    query: str
    roots: tuple[str, ...] = ()
    k: int = 10
    kind: Kind | None = None
    rerank: Rerank = "none"
    rewrite: Rewrite = "none"
    filters: Filters = field(default_factory=Filters)
    explain: bool = False
    """Tell with each result how its score came about; without rewriting."""


@dataclass(frozen=True)
class RelatedRequest:
    """Body of `POST /api/related`: a place in a file; passages near to the one that stands there are looked for."""

    path: str
    """Below the first of the roots that holds it, with `/`."""
    line: int = 1
    """1-based, within the cell where there is one."""
    cell_index: int | None = None
    """0-based position of a notebook's cell among all."""
    roots: tuple[str, ...] = ()
    k: int = 10


@dataclass(frozen=True)
class RankStep:
    """A step of a ranking: the score of a passage after it, and its place among all candidates, from 1.

    Place 0: at this step the passage was not in the list.
    """

    name: str
    score: float
    rank: int
    factor: float | None = None
    """What a signal multiplied the score by; None where the step is no signal, or the score was 0 before it."""


@dataclass(frozen=True)
class SearchResult:
    """One ranked passage."""

    rank: int
    path: str
    start_line: int
    end_line: int
    kind: Kind
    score: float
    text: str
    cell_id: str | None = None
    cell_index: int | None = None
    execution_count: int | None = None
    root: str = ""
    steps: tuple[RankStep, ...] = ()
    """How the score came about, where that was asked for."""


@dataclass(frozen=True)
class SearchResponse:
    """Body of the answer to `POST /api/search`."""

    results: tuple[SearchResult, ...]
    took_ms: float
    retrieval: Literal["hybrid", "lexical"] = "hybrid"
    notices: tuple[str, ...] = ()
