"""What a person thinks of an answer, as the daemon keeps it: good answers, bad ones, and bad ones put right."""

from __future__ import annotations

from typing import Literal, cast, get_args

from lorebook.channel import Message
from lorebook_api.asking import Answer
from lorebook_api.client import decode
from lorebook_api.errors import BadRequest, NotFound
from lorebook_api.feedback import Feedback

Rating = Literal["up", "down", "edited"]


def opinion_of(turn: Message, rating: str, edited: str = "") -> Feedback:
    """Return what is kept of an opinion on a turn's answer; `edited` is the answer as it should have been.

    Raises NotFound for a turn without an answer, BadRequest for what is no rating and for an empty correction.
    """
    if rating not in get_args(Rating):
        raise BadRequest(f"{rating!r} is no rating.", f"There are: {', '.join(get_args(Rating))}")
    if not turn.get("answer"):
        raise NotFound("This question has no answer.", "Wait for its end, or ask again.")
    if rating == "edited" and not edited.strip():
        raise BadRequest("The corrected answer is empty.", "Type what it should have said.")
    answer = decode(Answer, turn["answer"])
    return Feedback(
        rating=cast(Rating, rating),
        question=turn["question"],
        answer=answer.answer,
        citations=answer.citations,
        edited=edited.strip(),
        request_id=answer.request_id,
    )


def opened_of(turn: Message, n: int) -> Feedback:
    """Return what is kept of a citation that was opened, by its number; raises NotFound where the answer has none."""
    answer = decode(Answer, turn["answer"]) if turn.get("answer") else None
    cited = tuple(one for one in answer.citations if one.n == n) if answer else ()
    if answer is None or not cited:
        raise NotFound(f"There is no citation {n}.", "Open one that the answer has.")
    return Feedback("opened", turn["question"], answer.answer, cited, request_id=answer.request_id)
