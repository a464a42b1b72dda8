"""Questions with the passages that the product finds for them, and what a right fact is in an answer."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.corpora import Corpus, Kept, ours, repositories, samples
from benchmarks.engine import SAMPLES
from lorebook_api.home import find_home
from lorebook_daemon.answer.prompts import passage_text
from lorebook_daemon.answer.retrieved import RootHit
from lorebook_daemon.index.embed import Embedder, MiniLM
from lorebook_daemon.models.pull import ensure_embedder

K = 3


@dataclass(frozen=True)
class Sourced:
    """A question with the best passages for it, as they were found and as the model reads them."""

    text: str
    hits: tuple[RootHit, ...]
    facts: tuple[str, ...] = ()
    """Spellings of the right answer; none where it is not known."""

    @property
    def passages(self) -> tuple[str, ...]:
        """The passages as the model reads them."""
        return tuple(passage_text(hit) for hit in self.hits)


def sample_rows() -> list[dict[str, Any]]:
    """Return the rows of samples/questions.jsonl."""
    return [json.loads(line) for line in (SAMPLES / "questions.jsonl").read_text(encoding="utf-8").splitlines()]


def right(spellings: Sequence[str], text: str) -> bool:
    """Return whether one of the spellings stands in the text, apart from digits before or after it."""
    return any(_stands(spelling, text) for spelling in spellings)


def sample_questions() -> list[Sourced]:
    """Return the answerable questions about samples/, each with the passages that the product finds first."""
    embedder = _embedder()
    rows = [row for row in sample_rows() if row["answerable"]]
    found = _sourced(samples(embedder), embedder)
    return [Sourced(one.text, one.hits, tuple(row["answer"])) for one, row in zip(found, rows, strict=True)]


def development_questions(count: int) -> list[Sourced]:
    """Return `count` questions about code, taken evenly from the repositories in the folder that LOREBOOK_BENCH names.

    None where it names none.
    """
    folder = os.environ.get("LOREBOOK_BENCH")
    if not folder or not count:
        return []
    embedder = Kept(_embedder(), Path(folder))
    every = [one for corpus in repositories(Path(folder), embedder) for one in _sourced(corpus, embedder)]
    return every[:: max(1, len(every) // count)][:count]


def _embedder() -> Embedder:
    return MiniLM(ensure_embedder(find_home(), report=lambda progress: None).path)


def _sourced(corpus: Corpus, embedder: Embedder) -> Iterator[Sourced]:
    search = ours(corpus, embedder)
    for question in corpus.questions:
        hits = tuple(RootHit("", passage, 1.0) for passage in search(question.text, K))
        yield Sourced(question.text, hits)


def _stands(spelling: str, text: str) -> bool:
    pattern = rf"(?<![\d.,]){re.escape(spelling)}(?!\d)" if spelling[0].isdigit() else re.escape(spelling)
    return re.search(pattern, text, re.IGNORECASE) is not None
