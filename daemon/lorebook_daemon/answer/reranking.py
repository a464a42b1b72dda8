"""Reranking: the first passages of a search in a new order, by a judge that reads each beside the question.

The judge is dear, so it reads the first ones only, a few at a time, until its time is over; what it did not read keeps
its place behind. Its scores are added to those of the search, they do not replace them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from lorebook_api.errors import BadRequest, EngineFailed
from lorebook_api.indexing import Progress
from lorebook_api.retrieval import Rerank
from lorebook_daemon.answer.cross_encoder import CrossEncoder
from lorebook_daemon.answer.prompts import passage_text, question_prompt, stated_prompt
from lorebook_daemon.answer.reading import Emit
from lorebook_daemon.answer.retrieved import Retrieved, Retriever, RootHit
from lorebook_daemon.engine.protocol import ASKING, Engine, Turn

# Chosen with the 0.5B and the 1.5B model on the 98 development queries of benchmarks/notebooks/: see its README.md.
DEPTH = 12  # passages that are read at the most; 8 bring 0.829 and 0.835, 12 bring 0.831 and 0.838
WEIGHT = 3.0  # of the reranker's z-score beside that of the search; 3 to 8 are equally good, 1 brings 0.02 less
SURE = 0.3  # share of its score by which the first passage must lead the second to stay first unread: one list in four
SECONDS = 10.0  # time that the reading may take

_FIRST_BATCH, _BATCH = 2, 4
"""Passages that are read at once: few at first, since one that was never read costs ten times as much."""


class Reranker(Protocol):
    """Says how well passages fit a question, better than a search can, and slower."""

    async def scores(self, query: str, hits: Sequence[RootHit]) -> list[float]:
        """Return a score for each passage; higher is better, on any scale."""
        ...


@dataclass(frozen=True)
class Likelihood:
    """log P(question | passage), the mean over the question's tokens, by the model that answers.

    Query likelihood with a language model (UPR, arXiv:2204.07496). The passage is read as the answer reads it, so that
    one reading serves both.
    """

    engine: Engine
    turn: Turn = ASKING

    async def scores(self, query: str, hits: Sequence[RootHit]) -> list[float]:
        """Return a log-probability for each passage. Raises what the engine raises."""
        prompts = [question_prompt(passage_text(hit)) for hit in hits]
        return await self.engine.likelihood(prompts, query.strip(), turn=self.turn)


@dataclass(frozen=True)
class Judge:
    """logit(Yes) - logit(No) of whether the passage states the answer, by the model that answers.

    Relevance generation (arXiv:2211.09110); it is the question that the answer's own reading puts as well.
    """

    engine: Engine
    turn: Turn = ASKING

    async def scores(self, query: str, hits: Sequence[RootHit]) -> list[float]:
        """Return a difference of logits for each passage. Raises what the engine raises."""
        prompts = [stated_prompt(query, passage_text(hit)) for hit in hits]
        return await self.engine.judge(prompts, turn=self.turn)


@dataclass(frozen=True)
class Means:
    """What rerankers are made from."""

    engine: Engine | None
    """The model that answers; None where nobody has asked for it."""
    turn: Turn = ASKING
    cross_encoder: str = ""
    """The folder of a cross-encoder's files; empty where the person has none."""

    def model(self) -> Engine:
        """Return the engine; raises EngineFailed where there is none."""
        if self.engine is None:
            raise EngineFailed("no model is in memory to rerank with.", "Ask again, or choose --rerank none.")
        return self.engine


def _cross_encoder(means: Means) -> Reranker:
    if not means.cross_encoder:
        raise BadRequest(
            "There is no cross-encoder here.",
            "Set LOREBOOK_CROSS_ENCODER to a folder with model.onnx and tokenizer.json.",
        )
    return CrossEncoder.at(Path(means.cross_encoder).expanduser())


RERANKERS: dict[Rerank, Callable[[Means], Reranker] | None] = {
    "none": None,
    "model": lambda means: Likelihood(means.model(), means.turn),
    "judge": lambda means: Judge(means.model(), means.turn),
    "cross-encoder": _cross_encoder,
}
"""The rerankers by name; None leaves the order of the search as it is."""

READ_BY_MODEL: tuple[Rerank, ...] = ("model", "judge")
"""Those that want an engine."""


@dataclass(frozen=True)
class Reranking:
    """A Retriever that has the first passages of another one reranked, within `seconds`."""

    retriever: Retriever
    reranker: Reranker
    emit: Emit
    seconds: float = SECONDS

    async def retrieve(self, query: str, k: int) -> Retrieved:
        """Return at most `k` passages, best first; a notice says so where the time was too short for any reading."""
        found = await self.retriever.retrieve(query, max(k, DEPTH))
        if is_sure(found.hits):
            return replace(found, hits=found.hits[:k])
        scores = await self._scores(query, found.hits[:DEPTH])
        notices = found.notices
        if not scores:
            notices = (*notices, f"The passages were not reranked: {self.seconds:g} s were too short to read any.")
        return replace(found, hits=reranked(found.hits, scores)[:k], notices=notices)

    async def _scores(self, query: str, hits: Sequence[RootHit]) -> list[float]:
        """Return the scores of the first hits, as many as were read in time."""
        scores: list[float] = []
        end, size = time.monotonic() + self.seconds, _FIRST_BATCH
        while len(scores) < len(hits) and (left := end - time.monotonic()) > 0:
            await self.emit("progress", Progress("reranking passages", len(scores), len(hits)))
            try:
                async with asyncio.timeout(left):
                    scores += await self.reranker.scores(query, hits[len(scores) : len(scores) + size])
            except TimeoutError:
                break
            size = min(2 * size, _BATCH)
        return scores


def is_sure(hits: Sequence[RootHit]) -> bool:
    """Return whether the first passage leads so far that reading more would only cost time."""
    if len(hits) < 2:
        return True
    return hits[0].score - hits[1].score > SURE * hits[0].score


def reranked(hits: Sequence[RootHit], scores: Sequence[float], weight: float = WEIGHT) -> tuple[RootHit, ...]:
    """Return the hits with the first `len(scores)` of them in the order of both scores, search's and reranker's.

    Each is measured in standard deviations from its mean. What was read shares out the scores that it had, so that
    scores still fall along the list and can be compared with those of another search.
    """
    read = hits[: len(scores)]
    both = _z([hit.score for hit in read]) + weight * _z(scores)
    order = np.argsort(-both, kind="stable")
    moved = (replace(read[old], score=read[new].score) for new, old in enumerate(order.tolist()))
    return (*moved, *hits[len(scores) :])


def _z(values: Sequence[float]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return how many standard deviations each value is above the mean; zeros where all are equal."""
    array = np.array(values, np.float64)
    deviation = array.std() if len(array) else 0.0
    return (array - array.mean()) / deviation if deviation > 0 else np.zeros(len(array))
