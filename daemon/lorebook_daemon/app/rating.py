"""The routes of feedback: keep a rating, tell what is kept, forget it."""

from __future__ import annotations

from fastapi import APIRouter

from lorebook_api.feedback import Feedback, FeedbackState, KeptFeedback
from lorebook_daemon.app.parts import Parts


def feedback_routes(parts: Parts) -> APIRouter:
    """Return the routes below `feedback`."""
    router = APIRouter(prefix="/api/feedback")

    @router.post("")
    async def keep(feedback: Feedback) -> KeptFeedback:
        return await parts.opinions.keep(feedback, parts.roots)

    @router.get("")
    async def kept() -> FeedbackState:
        return await parts.opinions.state()

    @router.delete("")
    async def forget_all() -> dict[str, int]:
        return {"forgotten": await parts.opinions.forget_all()}

    @router.delete("/{kept}")
    async def forget(kept: int) -> dict[str, int]:
        await parts.opinions.forget(kept)
        return {"forgotten": 1}

    return router
