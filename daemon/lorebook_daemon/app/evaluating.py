"""The routes of evaluation: each measures over a file of rows, and ends when the client hangs up."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path

from fastapi import APIRouter

from lorebook_api.errors import BadRequest
from lorebook_api.evaluation import JudgeReport, JudgeRequest, McReport, McRequest
from lorebook_daemon.app.checks import check_text
from lorebook_daemon.app.events import Emit, EventStream, reporter
from lorebook_daemon.app.parts import Parts
from lorebook_daemon.engine.protocol import Engine
from lorebook_daemon.evaluate.formats import read_items
from lorebook_daemon.evaluate.judge import judge, read_judged
from lorebook_daemon.evaluate.multiple_choice import answer_items, figures
from lorebook_daemon.evaluate.rows import read_rows
from lorebook_daemon.evaluate.statistics import standard_error

_SHOTS_MOST = 64


def evaluation_routes(parts: Parts) -> APIRouter:
    """Return the routes below `/api/eval`; each sends `progress`, then `done` with the report."""
    router = APIRouter(prefix="/api/eval")

    @router.post("/mc")
    async def multiple_choice(request: McRequest) -> EventStream:
        _check(request.path, request.limit)
        if not 0 <= request.shots <= _SHOTS_MOST:
            raise BadRequest(f"shots must be from 0 to {_SHOTS_MOST}.", "Five are usual.")
        return EventStream(lambda emit: _multiple_choice(parts, request, emit), uuid.uuid4().hex, parts.running)

    @router.post("/judge")
    async def judging(request: JudgeRequest) -> EventStream:
        _check(request.path, request.limit)
        return EventStream(lambda emit: _judge(parts, request, emit), uuid.uuid4().hex, parts.running)

    return router


def _check(path: str, limit: int) -> None:
    check_text("path", path)
    if not Path(path).is_absolute():
        raise BadRequest(f"The path {path!r} is relative.", "Send the file's absolute path.")
    if limit < 0:
        raise BadRequest("limit is negative.", "0 takes all rows.")


async def _multiple_choice(parts: Parts, request: McRequest, emit: Emit) -> None:
    items = await asyncio.to_thread(
        read_items, Path(request.path), request.format, request.shots, request.limit or None
    )
    adapters = parts.adapters.chosen(request.adapters or None)
    async with _engine(parts, request.model, emit) as engine:
        answered, too_long = await answer_items(items, engine, adapters, reporter(emit))
        reached = figures(answered, by_mass=items.by_mass)
        skipped = (*items.skipped, *too_long)
        of = {"format": request.format, "shots": items.shots, "model": engine.model, "adapters": adapters}
        emit("done", McReport(**asdict(reached), **of, skipped=skipped))  # type: ignore[arg-type]


async def _judge(parts: Parts, request: JudgeRequest, emit: Emit) -> None:
    rows = await asyncio.to_thread(read_rows, Path(request.path))
    judged, skipped = read_judged(rows, request)
    adapters = parts.adapters.chosen(request.adapters or None)
    async with _engine(parts, request.model, emit) as engine:
        scores, too_long = await judge(judged, engine, adapters, reporter(emit))
        if not scores:
            raise BadRequest("no row fits the model's context.", "Set a larger one: LOREBOOK_N_CTX.")
        mean, missing = sum(scores) / len(scores), len(judged) - len(scores) - len(too_long)
        error, left_out = standard_error(scores), (*skipped, *too_long)
        report = JudgeReport(mean, error, len(scores), missing, tuple(scores), engine.model, adapters, left_out)
        emit("done", report)


@asynccontextmanager
async def _engine(parts: Parts, name: str, emit: Emit) -> AsyncIterator[Engine]:
    report = reporter(emit)
    model = await parts.models.find(parts.settings.model if name == "auto" else name, report)
    async with parts.engines.using(model, report) as engine:
        yield engine
