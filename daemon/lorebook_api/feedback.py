"""Feedback, on the wire: what a person thought of answers, as it is kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from lorebook_api.asking import Citation

FeedbackMode = Literal["off", "keep", "learn"]
"""Whether feedback is kept; with `learn` the search learns from it, too."""


@dataclass(frozen=True)
class Feedback:
    """What a person thought of an answer, or did with it. Body of `POST /api/feedback`."""

    rating: Literal["up", "down", "opened", "edited"]
    question: str
    answer: str = ""
    citations: tuple[Citation, ...] = ()
    """Those of the answer; of `opened` the one that was opened."""
    edited: str = ""
    """The answer as the person put it right."""
    other: str = ""
    """The answer that this one was shown beside, where there were two: `up` says that this one is better."""
    request_id: str = ""
    """Of the answer; a second thumb for the same one takes the place of the first."""


@dataclass(frozen=True)
class KeptFeedback:
    """Feedback as it is kept on this machine; `at` is in ISO 8601."""

    id: int
    at: str
    feedback: Feedback


@dataclass(frozen=True)
class FeedbackState:
    """Body of the answer to `GET /api/feedback`: what is kept, the latest first."""

    mode: FeedbackMode
    feedback: tuple[KeptFeedback, ...] = ()
    weights: dict[str, float] = field(default_factory=dict)
    """How strongly the signals act that the search learnt about, by their names; 1.0 is as they were measured."""
