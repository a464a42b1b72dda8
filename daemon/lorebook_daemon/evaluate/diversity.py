"""Diversity: how different several answers to one prompt are, in words and in meaning, and how each repeats itself.

distinct-n: Li et al., NAACL 2016. self-BLEU: Zhu et al., SIGIR 2018, with BLEU-4 smoothed as Lin and Och (2004) do.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lorebook_api.asking import Sampling
from lorebook_api.errors import BadRequest
from lorebook_api.evaluation import Skipped
from lorebook_daemon.engine.protocol import MEASURING, Message, Prompt, Token, Turn
from lorebook_daemon.evaluate.judge import question_of
from lorebook_daemon.evaluate.metric import Metric, values
from lorebook_daemon.evaluate.rows import Row, Unusable
from lorebook_daemon.evaluate.statistics import Numbers
from lorebook_daemon.evaluate.store import Outcome
from lorebook_daemon.evaluate.task import RowTask, Subject
from lorebook_daemon.index.embed import Embedder

_WORD = re.compile(r"\w+|[^\w\s]")
_BLEU_N = 4

Words = Sequence[str]


@dataclass(frozen=True)
class Asked:
    """A prompt, and where it stands."""

    row: int
    question: str


def read_prompts(rows: Sequence[Row], limit: int = 0) -> tuple[list[Asked], tuple[Skipped, ...]]:
    """Return the prompts, and the rows that hold none; raises BadRequest where none does."""
    asked, skipped = list[Asked](), list[Skipped]()
    for row in rows[: limit or None]:
        try:
            asked.append(Asked(row.number, question_of(row)))
        except Unusable as why:
            skipped.append(Skipped(row.number, str(why)))
    if not asked:
        raise BadRequest(
            f"no row holds a prompt: {skipped[0].why}.", "Name the column question, prompt or instruction."
        )
    return asked, tuple(skipped)


@dataclass(frozen=True)
class DiversityTask(RowTask[Asked]):
    """Prompts that are answered several times, as a Task."""

    samples: int
    temperature: float
    max_tokens: int
    embedder: Embedder
    stage: str = "sampling"

    async def measure(self, place: int, subject: Subject) -> Outcome:
        """Return how different the answers to one prompt are."""
        texts = [await self._answer(self.items[place].question, seed, subject) for seed in range(self.samples)]
        scores = await asyncio.to_thread(differences, texts, self.embedder)
        note = "the model answered nothing" if not any(text.strip() for text in texts) else ""
        return Outcome(scores, "\n---\n".join(texts), note)

    async def _answer(self, question: str, seed: int, subject: Subject) -> str:
        sampling = Sampling(temperature=self.temperature, seed=seed + 1)
        prompt = Prompt((Message("user", question),))
        return await said(prompt, sampling, self.max_tokens, subject)


async def said(prompt: Prompt, sampling: Sampling, max_tokens: int, subject: Subject, turn: Turn = MEASURING) -> str:
    """Return what the model says to a prompt."""
    pieces = subject.engine.generate(prompt, sampling, max_tokens, subject.adapters, turn)
    async with contextlib.aclosing(pieces) as stream:
        return "".join([piece.text async for piece in stream if isinstance(piece, Token)])


@dataclass(frozen=True)
class Samples:
    """Several answers to one prompt: their words, and a vector of unit length for what each means."""

    words: Sequence[Words]
    vectors: Numbers


def differences(texts: Sequence[str], embedder: Embedder) -> dict[str, float]:
    """Return the metrics of several answers to one prompt. Blocking: it embeds them."""
    words = [_WORD.findall(text.lower()) for text in texts]
    return values(METRICS, Samples(words, embedder.embed(list(texts)).astype(np.float64)))


def distinct(texts: Sequence[Words], n: int) -> float:
    """Return distinct n-grams ÷ n-grams over all texts; 0.0 where there are none."""
    grams = [gram for words in texts for gram in _grams(words, n)]
    return len(set(grams)) / len(grams) if grams else 0.0


def self_bleu(texts: Sequence[Words]) -> float:
    """Return the mean BLEU-4 of each text against the others; 1.0 where all say the same."""
    return sum(bleu(text, [*texts[:n], *texts[n + 1 :]]) for n, text in enumerate(texts)) / len(texts)


def bleu(text: Words, references: Sequence[Words]) -> float:
    """Return BLEU-4 (Papineni et al., ACL 2002), counts of two words and more raised by one as Lin and Och do."""
    if not text:
        return float(any(not reference for reference in references))
    logs = []
    for n in range(1, _BLEU_N + 1):
        own = Counter(_grams(text, n))
        most = Counter[tuple[str, ...]]()
        for reference in references:
            most |= Counter(_grams(reference, n))
        raised = int(n > 1)
        found, of = sum((own & most).values()) + raised, sum(own.values()) + raised
        if not found:
            return 0.0
        logs.append(math.log(found / of))
    nearest = min((len(reference) for reference in references), key=lambda size: (abs(size - len(text)), size))
    brevity = min(0.0, 1 - nearest / len(text))
    return math.exp(brevity + sum(logs) / _BLEU_N)


def spread(vectors: Numbers) -> float:
    """Return the mean of 1 − cosine over all pairs."""
    upper = np.triu_indices(len(vectors), 1)
    return float(np.mean(1 - (vectors @ vectors.T)[upper]))


def repetition(words: Words) -> float:
    """Return the share of four-word sequences that stood before in the same text; 0.0 for a short one."""
    grams = _grams(words, 4)
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def _grams(words: Words, n: int) -> list[tuple[str, ...]]:
    return [tuple(words[at : at + n]) for at in range(len(words) - n + 1)]


METRICS: dict[str, Metric[Samples, float]] = {
    "distinct_1": Metric(lambda one: distinct(one.words, 1), "distinct words ÷ words"),
    "distinct_2": Metric(lambda one: distinct(one.words, 2), "distinct pairs of words ÷ pairs"),
    "self_bleu": Metric(lambda one: self_bleu(one.words), "how much samples repeat each other (BLEU-4)", "lower"),
    "spread": Metric(lambda one: spread(one.vectors), "mean distance of meaning between samples, 1 − cosine"),
    "repetition": Metric(
        lambda one: sum(map(repetition, one.words)) / len(one.words),
        "share of four-word sequences said before in the same answer",
        "lower",
    ),
}
"""What is measured of several answers to one prompt."""
