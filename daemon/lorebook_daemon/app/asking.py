"""The routes that find and answer: ask, cancel, search."""

from __future__ import annotations

import time
import uuid
from dataclasses import replace
from typing import Any

from fastapi import APIRouter

from lorebook_api.errors import Cancelled
from lorebook_api.schema import (
    Answer,
    AskRequest,
    CancelRequest,
    SearchRequest,
    SearchResponse,
    SearchResult,
)
from lorebook_daemon.answer import reading
from lorebook_daemon.answer.retrieved import RootHit
from lorebook_daemon.app.attaching import attaching, check_attachments, told_with
from lorebook_daemon.app.checks import check_ask, check_search, served_or
from lorebook_daemon.app.conversing import conversing
from lorebook_daemon.app.events import Emit, EventStream, reporter
from lorebook_daemon.app.parts import Parts
from lorebook_daemon.app.roots import Opened

_NOTHING = Opened((), "lexical", ())
"""What a question to the model alone is answered from."""


def asking_routes(parts: Parts) -> APIRouter:
    """Return the routes `ask`, `cancel` and `search`."""
    router = APIRouter(prefix="/api")

    @router.post("/ask")
    async def ask(request: AskRequest) -> EventStream:
        adapters = parts.adapters.chosen(request.adapters or None)
        named = replace(request, request_id=request.request_id or uuid.uuid4().hex, adapters=adapters)
        check_ask(named)
        check_attachments(named.attachments)
        return EventStream(lambda emit: _ask(parts, named, emit), named.request_id, parts.running)

    @router.post("/cancel")
    async def cancel(request: CancelRequest) -> dict[str, bool]:
        """Tell whether there was such a request: one that has just ended is no error."""
        return {"cancelled": parts.running.end(request.request_id, Cancelled("The request was cancelled."))}

    @router.post("/search")
    async def search(request: SearchRequest) -> SearchResponse:
        return await _search(parts, request)

    return router


async def _ask(parts: Parts, request: AskRequest, emit: Emit) -> None:
    """Answer, as part of a conversation where there is one."""
    answer = await conversing(parts.conversations, request, emit, lambda told, send: _answered(parts, told, send))
    emit("answer", answer)


async def _answered(parts: Parts, request: AskRequest, emit: Emit) -> Answer:
    """Bring the roots up to date and the model here, wait for the engine, answer."""
    arrived = time.perf_counter()
    report = reporter(emit)
    opened, top = _NOTHING, ""
    if request.grounding:
        roots = served_or(request.roots, parts.served)
        opened, top = await parts.roots.open(roots, report), str(roots[0])
    else:
        request = told_with(request)
    model = await parts.models.find(parts.settings.model if request.model == "auto" else request.model, report)
    async with parts.engines.using(model, report) as engine:
        waited_ms = (time.perf_counter() - arrived) * 1000
        retriever = attaching(parts.warmer.noting(opened), request, top)
        answer = await parts.answer(request, retriever, engine, _sender(emit), parts.settings)
    return _timed(replace(answer, request_id=request.request_id), waited_ms)


def _sender(emit: Emit) -> reading.Emit:
    async def send(event: str, data: Any) -> None:
        emit(event, {"sources": data} if event == "sources" else data)

    return send


def _timed(answer: Answer, waited_ms: float) -> Answer:
    """Count the times from the request's arrival: roots, model and engine come before the answer's own clock."""
    timings = answer.timings
    ttft_ms = timings.ttft_ms + waited_ms if timings.ttft_ms else 0.0
    return replace(answer, timings=replace(timings, ttft_ms=ttft_ms, total_ms=timings.total_ms + waited_ms))


async def _search(parts: Parts, request: SearchRequest) -> SearchResponse:
    check_search(request)
    opened = await parts.roots.open(served_or(request.roots, parts.served), lambda progress: None)
    begun = time.perf_counter()
    hits = await opened.search(request.query, request.k, request.kind)
    took_ms = (time.perf_counter() - begun) * 1000
    results = tuple(_result(rank, hit) for rank, hit in enumerate(hits, start=1))
    return SearchResponse(results, took_ms, opened.retrieval, opened.notices)


def _result(rank: int, hit: RootHit) -> SearchResult:
    return SearchResult(rank=rank, **vars(hit.source()))
