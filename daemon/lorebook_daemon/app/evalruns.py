"""The routes of the measurements that are kept: list, show, compare, a report, delete."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter

from lorebook_api.errors import BadRequest
from lorebook_api.evaluation import Comparison, EvalRun
from lorebook_daemon.app.parts import Parts
from lorebook_daemon.evaluate.comparing import compare
from lorebook_daemon.evaluate.page import page

_RUNS_MOST = 100


def run_routes(parts: Parts) -> APIRouter:
    """Return the routes below `/api/eval/runs`. A run is named by its id, the start of it, or `last`."""
    router = APIRouter(prefix="/api/eval")
    kept = parts.evaluations.runs

    @router.get("/runs")
    async def known() -> dict[str, tuple[EvalRun, ...]]:
        return {"runs": await asyncio.to_thread(kept.all)}

    @router.get("/runs/{run}")
    async def show(run: str) -> EvalRun:
        return await asyncio.to_thread(kept.get, run)

    @router.get("/runs/{run}/items")
    async def items(run: str) -> dict[str, list[dict[str, object]]]:
        found = await asyncio.to_thread(lambda: kept.outcomes(kept.get(run).id))
        return {"items": [{"id": name, **vars(outcome)} for name, outcome in found.items()]}

    @router.delete("/runs/{run}")
    async def delete(run: str) -> dict[str, str]:
        found = await asyncio.to_thread(kept.get, run)
        await asyncio.to_thread(kept.delete, found.id)
        await asyncio.to_thread(parts.evaluations.arena.drop, found.id)
        return {"deleted": found.id}

    @router.get("/compare")
    async def compared(first: str, second: str) -> Comparison:
        return await asyncio.to_thread(_compared, parts, first, second)

    @router.get("/report")
    async def report(runs: str) -> dict[str, str]:
        """Return a page of HTML, whole in itself: runs, separated by commas, and the first compared with each."""
        names = [name for name in runs.split(",") if name]
        if not 1 <= len(names) <= _RUNS_MOST:
            raise BadRequest(f"{len(names)} runs are named.", f"Name 1 to {_RUNS_MOST}: `lorebook eval list`.")
        return {"html": await asyncio.to_thread(_page, parts, names)}

    return router


def _compared(parts: Parts, first: str, second: str) -> Comparison:
    kept = parts.evaluations.runs
    a, b = kept.get(first), kept.get(second)
    return compare(a, b, kept.outcomes(a.id), kept.outcomes(b.id))


def _page(parts: Parts, names: list[str]) -> str:
    runs = [parts.evaluations.runs.get(name) for name in names]
    others = [other for other in runs[1:] if other.kind == runs[0].kind]
    return page(runs, [_compared(parts, runs[0].id, other.id) for other in others])
