"""The route that finds what is near to a place in a file."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from fastapi import APIRouter

from lorebook_api.errors import BadRequest, NotFound
from lorebook_api.retrieval import RelatedRequest, SearchResponse, SearchResult
from lorebook_daemon.app.checks import K_MOST, check_text, served_or
from lorebook_daemon.app.opened import Opened
from lorebook_daemon.app.parts import Parts
from lorebook_daemon.index.passage import Passage
from lorebook_daemon.index.related import BESIDE, is_other, passage_at, query_of


def related_routes(parts: Parts) -> APIRouter:
    """Return the route `related`."""
    router = APIRouter(prefix="/api")

    @router.post("/related")
    async def related(request: RelatedRequest) -> SearchResponse:
        return await _related(parts, request)

    return router


async def _related(parts: Parts, request: RelatedRequest) -> SearchResponse:
    _check(request)
    opened = await parts.roots.open(served_or(request.roots, parts.served), lambda progress: None)
    begun = time.perf_counter()
    root, passage = await asyncio.to_thread(_find, opened, request)
    found = await opened.search(query_of(passage), request.k + BESIDE)
    near = [hit for hit in found if is_other(hit.passage, passage, hit.root == root)]
    took_ms = (time.perf_counter() - begun) * 1000
    results = tuple(SearchResult(rank=rank, **vars(hit.source())) for rank, hit in enumerate(near[: request.k], 1))
    return SearchResponse(results, took_ms, opened.retrieval, opened.notices)


def _check(request: RelatedRequest) -> None:
    check_text("path", request.path)
    if request.line < 1:
        raise BadRequest(f"line is {request.line}; it takes 1 or more.")
    if request.cell_index is not None and request.cell_index < 0:
        raise BadRequest(f"cell_index is {request.cell_index}; it takes 0 or more.")
    if not 1 <= request.k <= K_MOST:
        raise BadRequest(f"k is {request.k}; it takes 1 to {K_MOST}.")


def _find(opened: Opened, request: RelatedRequest) -> tuple[str, Passage]:
    """Return the passage at the place, and its root. Blocking, a few milliseconds. Raises NotFound."""
    for root, _ in opened.indexes:
        passages = opened.beside(str(root), request.path)
        if passages:
            passage = passage_at(passages, request.line, request.cell_index)
            if passage is None:
                raise _nowhere(request, passages)
            return str(root), passage
    roots = ", ".join(str(root) for root, _ in opened.indexes)
    message = f"{request.path} is not in the index of {roots}."
    raise NotFound(message, "Name it as it stands below that folder; `lorebook index` tells what was left out and why.")


def _nowhere(request: RelatedRequest, passages: Sequence[Passage]) -> NotFound:
    cells = sorted({passage.cell.index for passage in passages if passage.cell})
    if cells and request.cell_index not in cells:
        which = "cell is named" if request.cell_index is None else f"text is in cell {request.cell_index}"
        return NotFound(f"{request.path} is a notebook, and no {which}.", f"Name one of {cells[0]} to {cells[-1]}.")
    last = max((passage.end_line for passage in passages if not passage.cell), default=0)
    return NotFound(f"No text stands at line {request.line} of {request.path}.", f"Its last is {last}." if last else "")
