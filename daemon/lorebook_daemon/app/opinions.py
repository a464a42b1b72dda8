"""What a person thought of answers: kept only where the settings say so, and learnt from only where they say that."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from lorebook_api.asking import Citation
from lorebook_api.errors import BadRequest, Conflict, LorebookError
from lorebook_api.feedback import Feedback, FeedbackMode, FeedbackState, KeptFeedback
from lorebook_daemon.app.checks import check_id, check_text
from lorebook_daemon.app.roots import Roots
from lorebook_daemon.index.feedback import FeedbackStore
from lorebook_daemon.index.learning import EVEN, Weights, judged, weights
from lorebook_daemon.index.passage import Passage

log = logging.getLogger(__name__)

SHOWN = 10
"""Passages of a search among which what was liked is looked for."""
_PRAISE = ("up", "opened")
"""Ratings that say something of the passages: a bad answer may be the model's fault, and so may a correction."""
_CITATIONS_MOST = 100


class Opinions:
    """Keeps feedback where `mode` is not `off`, and weighs the signals of a search by it where that is `learn`."""

    def __init__(self, store: FeedbackStore, mode: FeedbackMode) -> None:
        self._store = store
        self.mode = mode
        self._weights = self._read_weights()

    def weights(self) -> Weights:
        """Return how strongly the signals of a search act."""
        return self._weights

    async def keep(self, feedback: Feedback, roots: Roots) -> KeptFeedback:
        """Keep it, and learn from it how `roots` are searched, where the settings say so.

        Raises Conflict where they say that none is kept, BadRequest for half of it.
        """
        if self.mode == "off":
            raise Conflict(
                "Feedback is not kept: nobody has asked for it.",
                "Turn it on: set LOREBOOK_FEEDBACK=keep (or learn), then type: lorebook stop",
            )
        check_feedback(feedback)
        said = await _said(feedback, roots) if self.mode == "learn" else {}
        kept = await asyncio.to_thread(self._store.keep, feedback, said)
        await self._learn()
        return kept

    async def state(self) -> FeedbackState:
        """Return what is kept, whether more is, and what was learnt."""
        kept = await asyncio.to_thread(self._store.all)
        return FeedbackState(self.mode, kept, dict(self._weights))

    async def forget(self, kept: int) -> None:
        """Forget one of it, by its id, whatever the settings say; raises NotFound."""
        await asyncio.to_thread(self._store.forget, kept)
        await self._learn()

    async def forget_all(self) -> int:
        """Forget all of it, whatever the settings say; return how much there was."""
        forgotten = await asyncio.to_thread(self._store.forget_all)
        await self._learn()
        return forgotten

    async def _learn(self) -> None:
        self._weights = await asyncio.to_thread(self._read_weights)

    def _read_weights(self) -> Weights:
        try:
            return weights(self._store.effects()) if self.mode == "learn" else EVEN
        except LorebookError as error:  # a search does not fail for it; who keeps more feedback is told
            log.warning("searching without what was learnt: %s", error)
            return EVEN


def check_feedback(feedback: Feedback) -> None:
    """Raise BadRequest where something is missing that the rating is about."""
    check_text("question", feedback.question)
    check_id("request_id", feedback.request_id, "Leave it out, or send that of the answer.")
    if feedback.rating != "opened" and not feedback.answer.strip():
        raise BadRequest(f"answer is empty: what was rated {feedback.rating!r}?", "Send the answer's text.")
    if feedback.rating == "edited" and not feedback.edited.strip():
        raise BadRequest("edited is empty.", "Send the answer as it should have been.")
    if feedback.rating == "opened" and len(feedback.citations) != 1:
        raise BadRequest("citations holds not exactly one.", "Send the one that was opened.")
    if len(feedback.citations) > _CITATIONS_MOST:
        raise BadRequest(f"citations holds more than {_CITATIONS_MOST}.", "Send those of the answer.")


async def _said(feedback: Feedback, roots: Roots) -> dict[str, float]:
    """Return what it says of the signals: the passages that were cited, or opened, against those that stood above."""
    said: dict[str, float] = {}
    for root, cited in _by_root(feedback.citations if feedback.rating in _PRAISE else ()).items():
        try:
            hits, trace = await roots.traced(Path(root), feedback.question, SHOWN)
        except LorebookError as error:  # it is kept all the same: it says something of the answer, too
            log.warning("nothing was learnt of how %s is searched: %s", root, error)
            continue
        liked = {hit.id for hit in hits if any(_is_of(hit.passage, citation) for citation in cited)}
        said |= judged([hit.id for hit in hits], liked, trace)
    return said


def _by_root(citations: Sequence[Citation]) -> dict[str, list[Citation]]:
    found: dict[str, list[Citation]] = defaultdict(list)
    for citation in citations:
        if citation.root:
            found[citation.root].append(citation)
    return found


def _is_of(passage: Passage, citation: Citation) -> bool:
    """Return whether the lines that were cited stand in this passage."""
    cell = passage.cell.id if passage.cell else None
    same = (passage.path, cell) == (citation.path, citation.cell_id)
    return same and passage.start_line <= citation.end_line and citation.start_line <= passage.end_line
