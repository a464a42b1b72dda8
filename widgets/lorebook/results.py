"""The results of a search as a notebook shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, overload

from lorebook.links import target_of
from lorebook_api.fence import code_block
from lorebook_api.markdown import link, plain
from lorebook_api.place import name_place
from lorebook_api.retrieval import SearchRequest, SearchResponse, SearchResult

LINES_SHOWN = 8


@dataclass(frozen=True, repr=False)
class SearchResults(Sequence[SearchResult]):
    """Ranked passages, best first: a sequence of SearchResult, shown as Markdown with links."""

    body: SearchResponse
    request: SearchRequest
    folder: Path

    @property
    def data(self) -> dict[str, Any]:
        """The results as plain JSON data, as `lorebook search --json` prints them."""
        return asdict(self.body)

    def __len__(self) -> int:
        return len(self.body.results)

    @overload
    def __getitem__(self, index: int) -> SearchResult: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[SearchResult, ...]: ...

    def __getitem__(self, index: int | slice) -> SearchResult | tuple[SearchResult, ...]:
        return self.body.results[index]

    def __repr__(self) -> str:
        lines = [*self.body.notices]
        for result in self:
            lines.append(f"{result.rank:>2}. {self._name(result)}  {result.kind} {result.score:.3f}")
            lines += [f"    {line}" for line in _first_lines(result.text)]
        return "\n".join(lines) or "Nothing found."

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/plain": repr(self), "text/markdown": self._markdown()}

    def _markdown(self) -> str:
        parts = [f"*{plain(notice)}*" for notice in self.body.notices]
        root = self.request.roots[0] if self.request.roots else ""
        for result in self:
            place = link(self._name(result), target_of(result, root, self.folder))
            text = code_block("\n".join(_first_lines(result.text)))
            parts.append(f"**{result.rank}.** {place} · {result.kind} {result.score:.3f}\n\n{text}")
        return "\n\n".join(parts) or "Nothing found."

    def _name(self, result: SearchResult) -> str:
        return name_place(result, result.root if len(self.request.roots) > 1 else "")


def _first_lines(text: str) -> list[str]:
    lines = text.splitlines()
    left = len(lines) - LINES_SHOWN
    return lines if left <= 0 else [*lines[:LINES_SHOWN], f"… {left} more lines"]
