"""The routes of evaluation: each measures over a file of rows, and ends when the client hangs up."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastapi import APIRouter

from lorebook_api.errors import BadRequest
from lorebook_api.evaluation import (
    BiasRequest,
    DiversityRequest,
    ExactRequest,
    JudgeReport,
    JudgeRequest,
    McReport,
    McRequest,
)
from lorebook_daemon.app.checks import check_text
from lorebook_daemon.app.evalroom import Measurement
from lorebook_daemon.app.events import Emit, EventStream, reporter
from lorebook_daemon.app.measure import Measure
from lorebook_daemon.app.parts import Parts
from lorebook_daemon.app.taking import taking
from lorebook_daemon.evaluate.diversity import DiversityTask, read_prompts
from lorebook_daemon.evaluate.exact import ExactTask, holding, read_asked
from lorebook_daemon.evaluate.formats import read_items
from lorebook_daemon.evaluate.human import read_scores
from lorebook_daemon.evaluate.ids import twice
from lorebook_daemon.evaluate.judge import METRIC, JudgeTask, agreement, length_bias, read_judged
from lorebook_daemon.evaluate.multiple_choice import ChoiceTask
from lorebook_daemon.evaluate.rows import read_rows
from lorebook_daemon.evaluate.statistics import standard_error
from lorebook_daemon.evaluate.stereotypes import BiasTask, by_type, read_pairs

_SHOTS_MOST = 64
_SAMPLES_MOST = 32
_TOKENS_MOST = 4096
_FEW = 4
"""Items in hand where each is an answer that is written."""
_ONE_BY_ONE = 1
"""Items in hand where each is a child process or a stream of samples of its own."""


def evaluation_routes(parts: Parts) -> APIRouter:
    """Return the routes below `/api/eval` that measure; each sends `progress`, then `done` with the report."""
    router = APIRouter(prefix="/api/eval")

    @router.post("/mc")
    async def multiple_choice(request: McRequest) -> EventStream:
        _check(request.path, request.limit)
        _bounded("shots", request.shots, 0, _SHOTS_MOST)
        return _CHOICE.stream(parts, request)

    @router.post("/judge")
    async def judging(request: JudgeRequest) -> EventStream:
        _check(request.path, request.limit)
        if request.human_path:
            _check(request.human_path, 0)
        return _JUDGE.stream(parts, request)

    @router.post("/exact")
    async def exact(request: ExactRequest) -> EventStream:
        _check(request.path, request.limit)
        _bounded("max_tokens", request.max_tokens, 1, _TOKENS_MOST)
        return _EXACT.stream(parts, request)

    @router.post("/diversity")
    async def diversity(request: DiversityRequest) -> EventStream:
        _check(request.path, request.limit)
        _bounded("samples", request.samples, 2, _SAMPLES_MOST)
        _bounded("max_tokens", request.max_tokens, 1, _TOKENS_MOST)
        _bounded("temperature", request.temperature, 0.0, 100.0)
        return _DIVERSITY.stream(parts, request)

    @router.post("/bias")
    async def bias(request: BiasRequest) -> EventStream:
        _check(request.path, request.limit)
        return _BIAS.stream(parts, request)

    return router


def _check(path: str, limit: int) -> None:
    check_text("path", path)
    if not Path(path).is_absolute():
        raise BadRequest(f"The path {path!r} is relative.", "Send the file's absolute path.")
    if limit < 0:
        raise BadRequest("limit is negative.", "0 takes all rows.")


def _bounded(name: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:  # true for NaN too
        raise BadRequest(f"{name} is {value:g}.", f"It takes {least:g} to {most:g}.")


async def _multiple_choice(parts: Parts, request: McRequest, emit: Emit) -> None:
    path = Path(request.path)
    items = await asyncio.to_thread(read_items, path, request.format, request.shots, request.limit or None)
    config = {"format": request.format, "shots": items.shots, "limit": request.limit}
    asked = [item.choices[0].context.rsplit("\n\n", 1)[-1] for item in items.items]  # without the examples before it
    what = Measurement("mc", path, ChoiceTask(items), config, asked, items.skipped)
    async with taking(parts, request.model, request.adapters, reporter(emit)) as taken:
        told, found = await parts.evaluations.measure(what, taken, reporter(emit))
    acc, by_characters, by_bytes = (told.figures[name].value for name in ("acc", "acc_norm", "acc_bytes"))
    report = McReport(
        acc=acc,
        acc_norm=by_characters,
        acc_bytes=by_bytes,
        stderr=standard_error(found.values("acc")),
        stderr_norm=standard_error(found.values("acc_norm")),
        stderr_bytes=standard_error(found.values("acc_bytes")),
        n=told.n,
        format=request.format,
        shots=items.shots,
        model=told.model,
        adapters=told.adapters,
        skipped=told.skipped,
        run=told.run,
        notices=told.notices,
    )
    emit("done", report)


async def _judge(parts: Parts, request: JudgeRequest, emit: Emit) -> None:
    path = Path(request.path)
    rows = await asyncio.to_thread(read_rows, path)
    others = await asyncio.to_thread(_others, request, len(rows))
    judged, skipped = read_judged(rows, request, others)
    config = _config(request, "response", "reference", "rubric", "limit", "measure")
    asked = [one.question for one in judged]
    kind = "judge" if request.measure == "quality" else request.measure
    repeated = twice(rows[: request.limit or None])
    what = Measurement(kind, path, JudgeTask(judged), config, asked, tuple(skipped), notices=repeated)
    async with taking(parts, request.model, request.adapters, reporter(emit)) as taken:
        told, found = await parts.evaluations.measure(what, taken, reporter(emit))
    scores = found.values(METRIC[request.measure])
    scored = [one for one in judged if str(one.row) in found.outcomes]
    report = JudgeReport(
        mean=sum(scores) / len(scores),
        stderr=standard_error(scores),
        n=len(scores),
        missing=len(told.skipped),
        scores=tuple(scores),
        rows=tuple(one.row for one in scored),
        model=told.model,
        adapters=told.adapters,
        skipped=told.skipped,
        run=told.run,
        notices=told.notices,
        agreement=agreement(scored, scores),
        length=length_bias(scored, scores),
    )
    emit("done", report)


def _others(request: JudgeRequest, count: int) -> list[Any]:
    """Return another's scores where a file of its own has them."""
    return read_scores(Path(request.human_path), request.human, count) if request.human_path else []


async def _exact(parts: Parts, request: ExactRequest, emit: Emit) -> None:
    path = Path(request.path)
    rows = await asyncio.to_thread(read_rows, path)
    asked, skipped = read_asked(rows, request.format, request.response, request.limit)
    task = ExactTask(asked, request.format, request.max_tokens)
    config = _config(request, "format", "response", "max_tokens", "limit")
    told = [one.question for one in asked]
    held = await asyncio.to_thread(holding, request.format)
    at_once = _ONE_BY_ONE if held else _FEW
    notices = (*held, *twice(rows[: request.limit or None]))
    what = Measurement("exact", path, task, config, told, skipped, at_once, notices)
    await _measure(parts, request, what, emit)


async def _diversity(parts: Parts, request: DiversityRequest, emit: Emit) -> None:
    path = Path(request.path)
    rows = await asyncio.to_thread(read_rows, path)
    prompts, skipped = read_prompts(rows, request.limit)
    named = await parts.roots.embedder(reporter(emit))
    task = DiversityTask(prompts, request.samples, request.temperature, request.max_tokens, named.embedder)
    config = {**_config(request, "samples", "temperature", "max_tokens", "limit"), "embedder": named.name}
    told = [one.question for one in prompts]
    repeated = twice(rows[: request.limit or None])
    what = Measurement("diversity", path, task, config, told, skipped, _ONE_BY_ONE, repeated)
    await _measure(parts, request, what, emit)


async def _bias(parts: Parts, request: BiasRequest, emit: Emit) -> None:
    path = Path(request.path)
    rows = await asyncio.to_thread(read_rows, path)
    pairs, skipped = read_pairs(rows, request.limit)
    told = [pair.more for pair in pairs]
    repeated = twice(rows[: request.limit or None])
    what = Measurement("bias", path, BiasTask(pairs), _config(request, "limit"), told, skipped, notices=repeated)
    async with taking(parts, request.model, request.adapters, reporter(emit)) as taken:
        report, _ = await parts.evaluations.measure(what, taken, reporter(emit), lambda found: by_type(pairs, found))
    emit("done", report)


async def _measure(parts: Parts, request: ExactRequest | DiversityRequest, what: Measurement, emit: Emit) -> None:
    async with taking(parts, request.model, request.adapters, reporter(emit)) as taken:
        report, _ = await parts.evaluations.measure(what, taken, reporter(emit))
    emit("done", report)


def _config(request: Any, *names: str) -> dict[str, Any]:
    """Return those fields of a request on which figures depend."""
    fields = asdict(request)
    return {name: fields[name] for name in names}


_CHOICE = Measure("mc", McRequest, _multiple_choice)
_JUDGE = Measure("judge", JudgeRequest, _judge)
_EXACT = Measure("exact", ExactRequest, _exact)
_DIVERSITY = Measure("diversity", DiversityRequest, _diversity)
_BIAS = Measure("bias", BiasRequest, _bias)

MEASURES: tuple[Measure[Any], ...] = (_CHOICE, _JUDGE, _EXACT, _DIVERSITY, _BIAS)
"""What is measured here."""
