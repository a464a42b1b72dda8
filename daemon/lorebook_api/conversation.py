"""Conversations, as the daemon keeps them: the bodies of `/api/conversations`."""

from __future__ import annotations

from dataclasses import dataclass

from lorebook_api.asking import Answer, Attachment


@dataclass(frozen=True)
class Exchange:
    """A question and what came of it; `id` is the request's, `asked` an ISO 8601 time in UTC."""

    id: str
    question: str
    asked: str
    answer: Answer | None = None
    """None where it was stopped or failed before its end."""
    text: str = ""
    """What had been written by then."""
    error: str = ""
    """Why there is no answer, in one line."""
    stopped: bool = False
    """Whether it was the person who ended it."""
    attachments: tuple[Attachment, ...] = ()
    """What the person sent along."""


@dataclass(frozen=True)
class ConversationInfo:
    """A conversation in a list; times are ISO 8601 in UTC."""

    id: str
    title: str
    created: str
    updated: str
    exchanges: int


@dataclass(frozen=True)
class Conversation:
    """A conversation, oldest exchange first."""

    id: str
    title: str
    created: str
    updated: str
    exchanges: tuple[Exchange, ...]
