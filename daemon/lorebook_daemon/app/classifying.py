"""The route of classifiers: texts are told apart by an adapter and the classes that stand beside it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from fastapi import APIRouter

from lorebook_api.asking import AdapterUse
from lorebook_api.classification import Classified, ClassifyReport, ClassifyRequest
from lorebook_api.errors import BadRequest, NotFound
from lorebook_api.state import AdapterInfo
from lorebook_daemon.app.checks import check_text
from lorebook_daemon.app.parts import Parts
from lorebook_daemon.engine.protocol import Priority, Turn
from lorebook_daemon.models.classes import HEAD, TASK, Head, read_head
from lorebook_daemon.models.json_file import read_object

_TEXTS_MOST = 2048
_TEACH = "Teach one: lorebook teach --data FILE --method classifier, where each row has a text and a label."


def classify_routes(parts: Parts) -> APIRouter:
    """Return `POST /api/classify`."""
    router = APIRouter(prefix="/api/classify")

    @router.post("")
    async def classify(request: ClassifyRequest) -> ClassifyReport:
        _check(request)
        return await _classify(parts, request)

    return router


def _check(request: ClassifyRequest) -> None:
    if request.classifier:
        check_text("classifier", request.classifier)
    if not 0 < len(request.texts) <= _TEXTS_MOST:
        raise BadRequest(f"texts holds {len(request.texts)} texts; it takes 1 to {_TEXTS_MOST}.")
    for text in request.texts:
        check_text("text", text)


async def _classify(parts: Parts, request: ClassifyRequest) -> ClassifyReport:
    adapter = await asyncio.to_thread(_chosen, parts, request.classifier)
    head = await asyncio.to_thread(_head, adapter)
    base = await parts.models.find(_base(adapter) or parts.settings.model, lambda progress: None)
    async with parts.engines.using(base, lambda progress: None) as engine:
        turn = Turn(Priority.complete, request.user)
        hidden = await engine.hidden(request.texts, (AdapterUse(adapter.name),), turn)
    likely = head.probabilities(hidden)
    results = tuple(
        Classified(head.classes[int(row.argmax())], tuple(round(float(one), 6) for one in row)) for row in likely
    )
    return ClassifyReport(adapter.name, base.name, head.classes, results)


def _chosen(parts: Parts, name: str) -> AdapterInfo:
    """Return the adapter of a name, or the only classifier; raises NotFound, BadRequest where there are several."""
    if name:
        return parts.adapters.find(name)
    there = [adapter for adapter in parts.adapters.known() if adapter.task == TASK]
    if not there:
        raise NotFound("There is no classifier yet.", _TEACH)
    if len(there) > 1:
        told = f"There are {len(there)} classifiers: {', '.join(one.name for one in there)}."
        raise BadRequest(told, f'Name one: lorebook classify "…" --with {there[0].name}')
    return there[0]


def _base(adapter: AdapterInfo) -> str:
    """Return the name of the model that it was taught to, by its card; empty where there is none."""
    card = read_object(Path(adapter.path).with_suffix(".json"))
    return str(card.get("base", {}).get("name", ""))


def _head(adapter: AdapterInfo) -> Head:
    """Return the classes that stand beside an adapter; raises BadRequest for one that is no classifier, Unusable."""
    path = Path(adapter.path).with_suffix(".peft") / HEAD
    if adapter.task != TASK or not path.is_file():
        raise BadRequest(f"{adapter.name} is no classifier.", _TEACH)
    return read_head(path)
