"""The routes that measure the whole system: a configuration on a set of questions, and a proposal of such a set."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from fastapi import APIRouter

from lorebook_api.asking import Answer, AskRequest, Sampling
from lorebook_api.errors import BadRequest, LorebookError
from lorebook_api.evaluation import Proposal, QuestionsRequest, RagRequest
from lorebook_api.splitting import parse_splitting
from lorebook_daemon.answer.lookup import Lookup
from lorebook_daemon.answer.retrieved import Retrieved, Retriever, RootHit
from lorebook_daemon.answer.sentences import without_marks
from lorebook_daemon.app.asking import timed
from lorebook_daemon.app.checks import check_ask, check_text, folders
from lorebook_daemon.app.engines import Report
from lorebook_daemon.app.evalroom import Measurement, Taken
from lorebook_daemon.app.events import Emit, EventStream, reporter
from lorebook_daemon.app.measure import Measure
from lorebook_daemon.app.opened import Index, Opened
from lorebook_daemon.app.parts import Parts
from lorebook_daemon.app.taking import taking
from lorebook_daemon.engine.protocol import Priority, Turn
from lorebook_daemon.evaluate.places import DEPTH
from lorebook_daemon.evaluate.proposing import propose
from lorebook_daemon.evaluate.rag import Asked, RagTask, rag_figures, read_questions
from lorebook_daemon.evaluate.rows import read_rows
from lorebook_daemon.index.walk import FileStat, walk
from lorebook_daemon.settings import CONTEXT_STEPS

_TURN = Turn(Priority.eval, "evaluation")
"""Under this name it shares the engine with whoever asks meanwhile, and gives way to them."""
_COUNT_MOST = 1000
_FILES = 500
"""Files of a root among whose passages those are drawn that questions are written about."""


def rag_routes(parts: Parts) -> APIRouter:
    """Return the routes `rag` and `questions`; each sends `progress`, then `done` with the report."""
    router = APIRouter(prefix="/api/eval")

    @router.post("/rag")
    async def rag(request: RagRequest) -> EventStream:
        check_text("path", request.path)
        if request.limit < 0:
            raise BadRequest("limit is negative.", "0 takes all rows.")
        check_ask(_ask_request(request, "?"))
        _steps(parts, request)
        if request.splitter != "default":
            parse_splitting(request.splitter)
        return RAG.stream(parts, request)

    @router.post("/questions")
    async def questions(request: QuestionsRequest) -> EventStream:
        if not 1 <= request.count <= _COUNT_MOST:
            raise BadRequest(f"count is {request.count}; it takes 1 to {_COUNT_MOST}.")
        return EventStream(lambda emit: _questions(parts, request, emit), uuid.uuid4().hex, parts.running)

    return router


def _steps(parts: Parts, request: RagRequest) -> str:
    """Return the context steps to take; raises BadRequest for a name that is none."""
    if request.context_steps == "default":
        return parts.settings.context_steps
    names = [name.strip() for name in request.context_steps.split(",") if name.strip()]
    for name in names:
        if name not in CONTEXT_STEPS:
            raise BadRequest(
                f"context_steps names {name!r}, which is no step.", f"Steps are: {', '.join(CONTEXT_STEPS)}."
            )
    return ",".join(dict.fromkeys(names))


def _ask_request(request: RagRequest, question: str) -> AskRequest:
    return AskRequest(
        question,
        request.roots,
        request.model,
        request.adapters,
        request.k,
        request.max_tokens,
        user=_TURN.user,
        rerank=request.rerank,
        rewrite=request.rewrite,
    )


@dataclass
class _Remembering:
    """A Retriever that finds ten passages at least, and remembers them: the answer may ask for fewer."""

    retriever: Retriever
    hits: Sequence[RootHit] = field(default_factory=tuple)

    async def retrieve(self, query: str, k: int) -> Retrieved:
        found = await self.retriever.retrieve(query, max(k, DEPTH))
        self.hits = found.hits
        return replace(found, hits=found.hits[:k])


async def _rag(parts: Parts, request: RagRequest, emit: Emit) -> None:
    path, steps = Path(request.path), _steps(parts, request)
    questions, skipped = read_questions(await asyncio.to_thread(read_rows, path), request.limit)
    report = reporter(emit)
    async with (
        _whole(parts, request, report) as opened,
        taking(parts, request.model, request.adapters, report) as taken,
    ):
        asking = replace(request, adapters=taken.subject.adapters)

        async def ask(question: str) -> Asked:
            return await _asked(parts, asking, steps, opened, taken, question)

        # One question after the other: the time that each takes is one of the figures.
        task = RagTask(questions, ask)
        texts = [question.text for question in questions]
        config = await _config(parts, request, steps, opened)
        what = Measurement("rag", path, task, config, texts, skipped, at_once=1, reuse=request.reuse)
        told, _ = await parts.evaluations.measure(what, taken, report, lambda found: rag_figures(questions, found))
    emit("done", replace(told, notices=(*opened.notices, *told.notices)))


RAG = Measure("rag", RagRequest, _rag)


@asynccontextmanager
async def _whole(parts: Parts, request: RagRequest, report: Report) -> AsyncGenerator[Opened, None]:
    """Open the indexes that the request means once all their vectors are there: half of them are no fair measure."""
    own = request.splitter not in ("default", parts.settings.splitter)
    roots = parts.recut(request.splitter) if own else parts.roots
    try:
        for root in folders(request.roots) if not roots.paused else ():
            run = await roots.start(root)
            with run.heard_by(report), suppress(LorebookError):  # which `open` raises, or says in a notice
                await run.settled()
        yield await roots.open(folders(request.roots), report)
    finally:
        if own:  # nobody would see to it that what is deleted goes from there
            for root in folders(request.roots):
                await roots.forget(root)
            await roots.close()


async def _config(parts: Parts, request: RagRequest, steps: str, opened: Opened) -> dict[str, Any]:
    fields = asdict(request)
    kept = {name: fields[name] for name in ("roots", "k", "rerank", "rewrite", "max_tokens", "limit")}
    # What was indexed belongs to the configuration: the same question over other files is another one.
    most_mb = parts.settings.max_file_mb
    indexed = [await asyncio.to_thread(_indexed, root, index, most_mb) for root, index in opened.indexes]
    return {
        **kept,
        "cross_encoder": parts.settings.cross_encoder if request.rerank == "cross-encoder" else "",
        "splitter": parts.settings.splitter if request.splitter == "default" else request.splitter,
        "context_steps": steps,
        "retrieval": opened.retrieval,
        "embedder": (await parts.roots.embedder(lambda progress: None)).name if opened.retrieval == "hybrid" else "",
        "indexed": indexed,
    }


def _indexed(root: Path, index: Index, most_mb: int) -> dict[str, Any]:
    """Return what tells one state of a root's files from another, whenever its index was made. Blocking."""
    stamps = sorted((one.path, *one.stamp) for one in walk(root, most_mb) if isinstance(one, FileStat))
    return {"passages": index.info().passages, "files": hashlib.sha256(json.dumps(stamps).encode()).hexdigest()}


async def _asked(
    parts: Parts, request: RagRequest, steps: str, opened: Opened, taken: Taken, question: str, turn: Turn = _TURN
) -> Asked:
    """Answer as an ask does, with the engine that is held.

    What it takes to put the question in other words counts.
    """
    arrived = time.perf_counter()
    asking = _ask_request(request, question)
    lookup = Lookup(request.rerank, request.rewrite, (), parts.settings.cross_encoder)
    searching = parts.warmer.foreseeing(opened)
    told, retriever = await lookup.prepared(question, searching, taken.subject.engine, _nobody, turn)
    waited_ms = (time.perf_counter() - arrived) * 1000
    listening = _Remembering(retriever)
    settings = replace(parts.settings, context_steps=steps)
    asking = replace(asking, question=told, user=turn.user)
    answer = await parts.answer(asking, listening, taken.subject.engine, _nobody, settings, turn.priority)
    return Asked(listening.hits, timed(answer, waited_ms))


async def _nobody(event: str, data: Any) -> None:
    """Tell nobody: what counts is the answer."""


async def _questions(parts: Parts, request: QuestionsRequest, emit: Emit) -> None:
    report = reporter(emit)
    opened = await parts.roots.open(folders(request.roots), report)
    hits = await asyncio.to_thread(_passages, opened, parts.settings.max_file_mb, request.seed)
    async with taking(parts, request.model, (), report) as taken:
        found = await propose(hits, request.count, request.seed, taken.subject, report)
        emit("done", Proposal(found.questions, found.passages, taken.model.name))


def _passages(opened: Opened, most_mb: int, seed: int) -> list[RootHit]:
    """Return the passages of some files of each root, drawn by chance. Blocking."""
    hits: list[RootHit] = []
    for root, _ in opened.indexes:
        paths = sorted(one.path for one in walk(root, most_mb) if isinstance(one, FileStat))
        random.Random(seed).shuffle(paths)
        hits += [RootHit(str(root), one, 0.0) for path in paths[:_FILES] for one in opened.beside(str(root), path)]
    return hits


@dataclass(frozen=True)
class Ground:
    """What a configuration answers from, while it is open."""

    answer: Callable[[str, Taken, Sampling, Turn], Awaitable[str]]
    """Answers a question with the model that is held, drawn as is said; returns the text, without citations."""
    config: Callable[[], Awaitable[dict[str, Any]]]
    """Returns what its answers depend on beside the model: how it looks things up, and in what."""


def check_rag(parts: Parts, request: RagRequest) -> None:
    """Raise BadRequest or NotFound where a configuration cannot answer anything."""
    check_ask(_ask_request(request, "?"))
    _steps(parts, request)
    folders(request.roots)


@asynccontextmanager
async def answering(parts: Parts, request: RagRequest, report: Report) -> AsyncGenerator[Ground, None]:
    """Open the indexes of a configuration, and yield what answers by it, as `rag` has it answer."""
    steps = _steps(parts, request)
    async with _whole(parts, request, report) as opened:

        async def answer(question: str, taken: Taken, sampling: Sampling, turn: Turn) -> str:
            async def drawn(asking: AskRequest, *rest: Any) -> Answer:
                return await parts.answer(replace(asking, sampling=sampling), *rest)

            drawing = replace(parts, answer=drawn)
            found = await _asked(drawing, request, steps, opened, taken, question, turn)
            return without_marks(found.answer.answer)

        yield Ground(answer, lambda: _config(parts, request, steps, opened))
