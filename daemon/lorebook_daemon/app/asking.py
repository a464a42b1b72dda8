"""The routes that find and answer: ask, cancel, search."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from fastapi import APIRouter

from lorebook_api.asking import Answer, AskRequest, CancelRequest, Message
from lorebook_api.errors import Cancelled
from lorebook_api.retrieval import Filters, RankStep, SearchRequest, SearchResponse, SearchResult
from lorebook_daemon.answer import reading
from lorebook_daemon.answer.lookup import Lookup
from lorebook_daemon.answer.retrieved import Retrieved, RootHit
from lorebook_daemon.app.attaching import attaching, check_attachments, told_with
from lorebook_daemon.app.checks import check_ask, check_search, served_or
from lorebook_daemon.app.conversing import conversing
from lorebook_daemon.app.events import Emit, EventStream, reporter
from lorebook_daemon.app.opened import Opened
from lorebook_daemon.app.parts import Parts
from lorebook_daemon.engine.protocol import Engine, Priority, Turn

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
        opened, top = await (await parts.roots.open(roots, report)).within(request.filters), str(roots[0])
    else:
        request = told_with(request)
    model = await parts.models.find(parts.settings.model if request.model == "auto" else request.model, report)
    async with parts.engines.using(model, report) as engine:
        retriever = parts.warmer.noting(parts.warmer.foreseeing(opened))
        if request.grounding:
            lookup, turn = _lookup(parts, request, request.history), Turn(Priority.ask, request.user)
            question, retriever = await lookup.prepared(request.question, retriever, engine, _sender(emit), turn)
            request = replace(request, question=question)
        waited_ms = (time.perf_counter() - arrived) * 1000
        retriever = attaching(retriever, request, top)
        answer = await parts.answer(request, retriever, engine, _sender(emit), parts.settings)
    return timed(replace(answer, request_id=request.request_id), waited_ms)


def _sender(emit: Emit) -> reading.Emit:
    async def send(event: str, data: Any) -> None:
        emit(event, {"sources": data} if event == "sources" else data)

    return send


def timed(answer: Answer, waited_ms: float) -> Answer:
    """Count the times from the request's arrival: what was waited for comes before the answer's own clock."""
    timings = answer.timings
    ttft_ms = timings.ttft_ms + waited_ms if timings.ttft_ms else 0.0
    return replace(answer, timings=replace(timings, ttft_ms=ttft_ms, total_ms=timings.total_ms + waited_ms))


async def _search(parts: Parts, request: SearchRequest) -> SearchResponse:
    check_search(request)
    opened = await parts.roots.open(served_or(request.roots, parts.served), lambda progress: None)
    opened = await opened.within(_filters(request))
    lookup = _lookup(parts, request)
    async with _engine_for(lookup, parts, request) as engine:
        begun = time.perf_counter()
        searching = parts.warmer.foreseeing(_Searching(opened, request.explain))
        query, retriever = await lookup.prepared(request.query, searching, engine, _nobody)
        found = await retriever.retrieve(query, request.k)
        took_ms = (time.perf_counter() - begun) * 1000
    results = tuple(_result(rank, hit) for rank, hit in enumerate(found.hits, start=1))
    if request.explain:
        results = tuple(map(_last_step(parts, request), results))
        found = replace(found, notices=(*found.notices, *_learnt(opened)))
    return SearchResponse(results, took_ms, found.retrieval, found.notices)


def _filters(request: SearchRequest) -> Filters:
    """Return the filters with `kind`, which is the short form of one of them."""
    return replace(request.filters, kinds=(request.kind,)) if request.kind else request.filters


def _last_step(parts: Parts, request: SearchRequest) -> Callable[[SearchResult], SearchResult]:
    """Return what adds to the steps of a result what changed the order after the search itself, if anything did."""
    name = "rerank" if request.rerank != "none" else "questions ahead" if parts.settings.questions_ahead else ""

    def added(result: SearchResult) -> SearchResult:
        return replace(result, steps=(*result.steps, RankStep(name, result.score, result.rank)))

    return added if name else lambda result: result


def _learnt(opened: Opened) -> list[str]:
    moved = ", ".join(f"{name} ×{weight:g}" for name, weight in sorted(opened.weights.items()) if weight != 1.0)
    return [f"Signals as feedback weighs them: {moved}."] if moved else []


@dataclass(frozen=True)
class _Searching:
    """The retriever of a search: passages spread over the files."""

    opened: Opened
    explain: bool

    async def retrieve(self, query: str, k: int) -> Retrieved:
        hits = await self.opened.search(query, k, explain=self.explain)
        return Retrieved(hits, self.opened.retrieval, self.opened.notices)


def _lookup(parts: Parts, request: AskRequest | SearchRequest, history: tuple[Message, ...] = ()) -> Lookup:
    return Lookup(request.rerank, request.rewrite, history, parts.settings.cross_encoder)


@asynccontextmanager
async def _engine_for(lookup: Lookup, parts: Parts, request: SearchRequest) -> AsyncIterator[Engine | None]:
    """Hold the engine for a search that wants a model; most want none."""
    if not lookup.wants_model(request.query):
        yield None
        return
    model = await parts.models.find(parts.settings.model, lambda progress: None)
    async with parts.engines.using(model, lambda progress: None) as engine:
        yield engine


async def _nobody(event: str, data: Any) -> None:
    """Tell nobody: a search has no stream."""


def _result(rank: int, hit: RootHit) -> SearchResult:
    return SearchResult(rank=rank, steps=hit.steps, **vars(hit.source()))
