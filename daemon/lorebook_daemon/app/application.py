"""The app as a value: routes, the map of errors, what stands before them. And the routes about the daemon itself."""

from __future__ import annotations

import asyncio
import os

import psutil
from fastapi import APIRouter, FastAPI
from starlette.middleware import Middleware

from lorebook_api.state import Status
from lorebook_api.version import VERSION
from lorebook_daemon.app.adapting import adapter_routes, lora_routes
from lorebook_daemon.app.arena import arena_routes
from lorebook_daemon.app.arenajudging import arena_judging_routes
from lorebook_daemon.app.asking import asking_routes
from lorebook_daemon.app.classifying import classify_routes
from lorebook_daemon.app.conversing import conversation_routes
from lorebook_daemon.app.evalruns import run_routes
from lorebook_daemon.app.evaluating import evaluation_routes
from lorebook_daemon.app.failures import EXCEPTION_HANDLERS
from lorebook_daemon.app.guard import BodyLimit, Guard, Journal
from lorebook_daemon.app.jobbing import job_routes
from lorebook_daemon.app.keeping import index_routes, model_routes
from lorebook_daemon.app.opening import opening_routes
from lorebook_daemon.app.parts import Parts
from lorebook_daemon.app.ragging import rag_routes
from lorebook_daemon.app.rating import feedback_routes
from lorebook_daemon.app.relating import related_routes
from lorebook_daemon.app.teaching import teach_routes
from lorebook_daemon.app.unlearning import unlearning_routes
from lorebook_daemon.app.v1.routes import v1_routes

_MEGABYTE = 1_000_000


def create_app(parts: Parts) -> FastAPI:
    """Return the daemon's HTTP app; it holds no state but `parts`."""
    app = FastAPI(
        title="lorebook",
        version=VERSION,
        openapi_url=None,  # and with it no docs pages, whose scripts would come from another host
        exception_handlers=EXCEPTION_HANDLERS,
        middleware=[
            Middleware(Journal, activity=parts.activity),
            Middleware(Guard, credentials=parts.credentials),
            Middleware(BodyLimit),
        ],
        # Nothing leaves this machine, whatever the environment says of exporters.
        telemetry={
            "tracing": False,
            "metrics": False,
            "logs": False,
            "operation_spans": False,
            "auto_configure": False,
        },
    )
    for routes in (
        daemon_routes,
        asking_routes,
        related_routes,
        conversation_routes,
        feedback_routes,
        opening_routes,
        index_routes,
        model_routes,
        adapter_routes,
        unlearning_routes,
        lora_routes,
        teach_routes,
        classify_routes,
        job_routes,
        evaluation_routes,
        rag_routes,
        run_routes,
        arena_routes,
        arena_judging_routes,
        v1_routes,
    ):
        app.include_router(routes(parts))
    return app


def daemon_routes(parts: Parts) -> APIRouter:
    """Return the routes about the daemon itself: `/health`, which needs no token, `status` and `stop`."""
    router = APIRouter()

    @router.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok", "version": parts.told.version}

    @router.get("/api/status")
    async def status() -> Status:
        return await _status(parts)

    @router.post("/api/stop")
    async def stop() -> dict[str, bool]:
        parts.stop()
        return {"stopping": True}

    return router


async def _status(parts: Parts) -> Status:
    kept = await asyncio.to_thread(parts.warmer.kept)
    return Status(
        version=parts.told.version,
        pid=parts.told.pid,
        started=parts.told.started,
        url=parts.told.url,
        uptime_s=round(parts.activity.uptime_s, 1),
        idle_stop_s=parts.settings.idle_stop_minutes * 60,
        model=parts.engines.model or parts.settings.model,
        engine=parts.engines.state,
        queue=parts.engines.depth,
        roots=await asyncio.to_thread(parts.roots.infos),
        memory_mb=round(_memory_bytes() / _MEGABYTE, 1),
        indexing=parts.roots.running(),
        index_work=parts.roots.work(),
        index_paused=parts.roots.paused,
        watched=parts.watching.roots(),
        feedback=parts.opinions.mode,
        kv_disk_mb=kept.disk_mb,
        kv_disk_most_mb=kept.most.disk_mb,
        kv_memory_most_mb=kept.most.memory_mb,
    )


def _memory_bytes() -> int:
    """Return the resident memory of this process and its children; one that ends meanwhile counts nothing."""
    total = 0
    own = psutil.Process(os.getpid())
    for process in (own, *own.children(recursive=True)):
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total
