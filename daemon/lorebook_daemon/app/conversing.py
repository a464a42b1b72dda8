"""The routes of the conversations, and what an ask does for the one that it belongs to."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from lorebook_api.asking import Answer, AskRequest
from lorebook_api.conversation import Conversation, ConversationInfo, Exchange
from lorebook_api.errors import LorebookError
from lorebook_api.transcript import transcript
from lorebook_daemon.app.checks import check_text
from lorebook_daemon.app.conversations import Conversations
from lorebook_daemon.app.events import Emit
from lorebook_daemon.app.lifecycle import now
from lorebook_daemon.app.parts import Parts

STOPPED = "Stopped before its end."
FAILED = "The daemon met an error of its own; see `lorebook logs`."

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TitleRequest:
    """Body of `POST /api/conversations/{id}/title`."""

    title: str


@dataclass(frozen=True)
class CutRequest:
    """Body of `POST /api/conversations/{id}/cut`: the first exchange that goes; all after it go with it."""

    exchange: str


def conversation_routes(parts: Parts) -> APIRouter:
    """Return the routes below `conversations`. A conversation begins with its first exchange, under the asker's id."""
    router = APIRouter(prefix="/api/conversations")
    kept = parts.conversations

    @router.get("")
    async def known() -> dict[str, tuple[ConversationInfo, ...]]:
        return {"conversations": await asyncio.to_thread(kept.list)}

    @router.get("/{conversation}")
    async def get(conversation: str) -> Conversation:
        return await asyncio.to_thread(kept.get, conversation)

    @router.get("/{conversation}/markdown")
    async def markdown(conversation: str) -> Response:
        """Return the conversation as a document to keep."""
        found = await asyncio.to_thread(kept.get, conversation)
        return Response(transcript(found).encode(errors="replace"), media_type="text/markdown; charset=utf-8")

    @router.post("/{conversation}/exchanges")
    async def append(conversation: str, exchange: Exchange) -> dict[str, str]:
        check_text("id", exchange.id)
        check_text("question", exchange.question)
        await asyncio.to_thread(kept.keep, conversation, exchange)
        return {"kept": exchange.id}

    @router.post("/{conversation}/cut")
    async def cut(conversation: str, request: CutRequest) -> dict[str, str]:
        await asyncio.to_thread(kept.cut, conversation, request.exchange)
        return {"cut": request.exchange}

    @router.post("/{conversation}/title")
    async def rename(conversation: str, request: TitleRequest) -> dict[str, str]:
        check_text("title", request.title)
        await asyncio.to_thread(kept.rename, conversation, request.title)
        return {"renamed": conversation}

    @router.delete("/{conversation}")
    async def delete(conversation: str) -> dict[str, str]:
        await asyncio.to_thread(kept.delete, conversation)
        return {"deleted": conversation}

    return router


async def conversing(
    kept: Conversations, request: AskRequest, emit: Emit, answer: Callable[[AskRequest, Emit], Awaitable[Answer]]
) -> Answer:
    """Answer with the conversation so far, and keep what came of it: the answer, an error, or that it was stopped."""
    if not request.conversation:
        return await answer(request, emit)
    if not request.history:
        history = await asyncio.to_thread(kept.history, request.conversation)
        request = replace(request, history=history)
    written = _Written(emit)
    exchange = Exchange(request.request_id, request.question, now(), attachments=request.attachments)
    try:
        answered = await answer(request, written.emit)
    except BaseException as error:
        stopped = isinstance(error, asyncio.CancelledError)
        ended = replace(exchange, text=written.text, error=_why(error), stopped=stopped)
        await _keep(kept, request.conversation, ended)
        raise
    lost = await _keep(kept, request.conversation, replace(exchange, answer=answered))
    return replace(answered, notices=(*answered.notices, *lost))


async def _keep(kept: Conversations, conversation: str, exchange: Exchange) -> tuple[str, ...]:
    """Keep an exchange; return what to say where that cannot be: an answer is given all the same.

    Shielded, because who hangs up while it is written must not find half of it.
    """
    try:
        await asyncio.shield(asyncio.to_thread(kept.keep, conversation, exchange))
    except LorebookError as error:
        log.warning("an exchange is not kept: %s", error)
        return (f"This conversation is not kept: {error}",)
    return ()


def _why(error: BaseException) -> str:
    if isinstance(error, asyncio.CancelledError):
        return STOPPED
    return str(error) if isinstance(error, LorebookError) else FAILED


@dataclass
class _Written:
    """Passes events on, and remembers the text among them."""

    pass_on: Emit
    pieces: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    def emit(self, event: str, data: Any) -> None:
        if event == "token":
            self.pieces.append(data["text"])
        self.pass_on(event, data)
