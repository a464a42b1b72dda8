"""The OpenAI-compatible routes."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from fastapi import APIRouter, Request

from lorebook_daemon.app.checks import check_text
from lorebook_daemon.app.events import Emit, EventStream
from lorebook_daemon.app.parts import Parts
from lorebook_daemon.app.v1.body import read
from lorebook_daemon.app.v1.chat import chat
from lorebook_daemon.app.v1.completions import complete
from lorebook_daemon.app.v1.embeddings import embed
from lorebook_daemon.app.v1.models import described, listed
from lorebook_daemon.app.v1.requests import ChatBody, CompletionBody, EmbeddingBody, Generating
from lorebook_daemon.app.v1.wire import DOCUMENT, STREAMED

G = TypeVar("G", bound=Generating)


def v1_routes(parts: Parts) -> APIRouter:
    """Return the routes below `/v1`."""
    router = APIRouter(prefix="/v1")

    @router.get("/models")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": await listed(parts)}

    @router.get("/models/{name:path}")
    async def model(name: str) -> dict[str, Any]:
        check_text("model", name)
        return await described(parts, name)

    @router.post("/chat/completions")
    async def chat_completions(request: Request) -> EventStream:
        return _answering(parts, await read(ChatBody, request), chat, "chatcmpl")

    @router.post("/completions")
    async def completions(request: Request) -> EventStream:
        return _answering(parts, await read(CompletionBody, request), complete, "cmpl")

    @router.post("/embeddings")
    async def embeddings(request: Request) -> EventStream:
        body = await read(EmbeddingBody, request)
        return EventStream(
            lambda emit: embed(parts, body, emit), f"embd-{uuid.uuid4().hex}", parts.running, form=DOCUMENT
        )

    return router


def _answering(
    parts: Parts, body: G, work: Callable[[Parts, G, str, Emit], Awaitable[None]], prefix: str
) -> EventStream:
    """Return the answer, which ends when the client hangs up, streamed or not, and by `/api/cancel` with its id."""
    request_id = f"{prefix}-{uuid.uuid4().hex}"
    form = STREAMED if body.stream else DOCUMENT
    return EventStream(lambda emit: work(parts, body, request_id, emit), request_id, parts.running, form=form)
