"""Passages and questions with known targets, of samples/ and of repositories of code; the product's search of them."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.engine import SAMPLES
from lorebook_api.indexing import Skipped
from lorebook_daemon.index.embed import Embedder, Matrix, passage_text
from lorebook_daemon.index.lexical import Lexical
from lorebook_daemon.index.passage import Passage, Unreadable
from lorebook_daemon.index.search import WAYS, Searcher
from lorebook_daemon.index.signals import CELL_SIGNALS, SIGNALS
from lorebook_daemon.index.split import read_passages
from lorebook_daemon.index.vectors import Vectors
from lorebook_daemon.index.walk import walk

Search = Callable[[str, int], Sequence[Passage]]
"""Takes a question and how many passages are wanted; returns them, best first."""


@dataclass(frozen=True)
class Target:
    """Lines that answer; all lines of a file where there are none, and of one cell where there is one."""

    path: str
    lines: tuple[int, int] | None = None
    cell: int | None = None

    def touched_by(self, passage: Passage) -> bool:
        """Say whether the passage holds any of these lines."""
        if passage.path != self.path or (passage.cell.index if passage.cell else None) != self.cell:
            return False
        return self.lines is None or (passage.start_line <= self.lines[1] and passage.end_line >= self.lines[0])


@dataclass(frozen=True)
class Question:
    """What is asked, and what answers it; each of `targets` counts, or, with `any_one`, the first that is found."""

    text: str
    targets: tuple[Target, ...]
    any_one: bool = False

    def ranks(self, found: Sequence[Passage]) -> set[int]:
        """Return the ranks, from 1, at which targets are first touched."""
        firsts = (next((n for n, one in enumerate(found, 1) if t.touched_by(one)), None) for t in self.targets)
        ranks = {rank for rank in firsts if rank is not None}
        return {min(ranks)} if ranks and self.any_one else ranks

    def ndcg(self, found: Sequence[Passage], k: int) -> float:
        """Return NDCG at `k`: the ideal has all targets first."""
        wanted = 1 if self.any_one else min(k, len(self.targets))
        return sum(1 / math.log2(rank + 1) for rank in self.ranks(found)) / sum(
            1 / math.log2(place + 2) for place in range(wanted)
        )


@dataclass(frozen=True)
class Corpus:
    """Passages, their vectors, and the questions asked of them."""

    passages: list[Passage]
    matrix: Matrix
    questions: list[Question]


class Kept:
    """An embedder that keeps its vectors in a file of `folder`, so that a second run takes seconds."""

    def __init__(self, inner: Embedder, folder: Path) -> None:
        self.identity, self.dimensions = inner.identity, inner.dimensions
        self._inner = inner
        self._file = folder / f"vectors-{hashlib.sha256(inner.identity.encode()).hexdigest()[:12]}.npz"
        self._known: dict[str, Matrix] = {}
        if self._file.is_file():
            with np.load(self._file, allow_pickle=False) as parts:
                self._known = dict(zip(parts["keys"].tolist(), parts["rows"], strict=True))

    def embed(self, texts: Sequence[str]) -> Matrix:
        """Return the rows for `texts`, making those that are new."""
        keys = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
        new = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._known}
        if new:
            self._known.update(zip(new, self._inner.embed(list(new.values())), strict=True))
            np.savez(self._file, keys=np.array(list(self._known)), rows=np.stack(list(self._known.values())))
        return np.stack([self._known[key] for key in keys])

    def count(self, texts: Sequence[str]) -> int:
        """Return how many tokens are read to embed the texts."""
        return self._inner.count(texts)


def samples(embedder: Embedder) -> Corpus:
    """Return the answerable questions of samples/questions.jsonl, and all passages of samples/."""
    rows = [json.loads(line) for line in (SAMPLES / "questions.jsonl").read_text(encoding="utf-8").splitlines()]
    questions = [
        Question(
            row["question"],
            tuple(
                Target(one["path"], (one["start_line"], one["end_line"]), one["cell_index"])
                for one in (row, *row.get("also", ()))
            ),
            any_one=True,
        )
        for row in rows
        if row["answerable"]
    ]
    return _corpus(_passages(SAMPLES, {"questions.jsonl"}), questions, embedder)


def repositories(folder: Path, embedder: Embedder) -> Iterator[Corpus]:
    """Yield one corpus for each `= name|language|github|commit|root|prefix` and the questions below it."""
    blocks = (folder / "annotations.txt").read_text(encoding="utf-8").split("\n= ")[1:]
    for head, *lines in (block.splitlines() for block in blocks):
        name, _, _, _, root, prefix = head.split("|")
        place = next(place for place in (folder / name, folder / "repos" / name) if place.is_dir())
        code = [one for one in _passages(place / root) if one.kind == "code"]
        within = prefix.removeprefix(f"{root}/") if root else prefix
        asked = [line.split("|") for line in lines if line.count("|") == 3 and not line.startswith("#")]
        yield _corpus(code, [_asked(query, f"{most};{some}", within) for _, query, most, some in asked], embedder)


def _asked(query: str, targets: str, prefix: str) -> Question:
    """Return the question with its targets, `path` or `path@first-last`, separated by semicolons."""
    places = (target.partition("@") for target in targets.split(";") if target)
    return Question(
        query,
        tuple(
            Target(prefix + path, (int(span.split("-")[0]), int(span.split("-")[1])) if span else None)
            for path, _, span in places
        ),
    )


def _passages(root: Path, left_out: Collection[str] = ()) -> Iterator[Passage]:
    for file in walk(root, max_file_mb=20):
        if isinstance(file, Skipped) or file.path in left_out:
            continue
        try:
            yield from read_passages(root / file.path, file.path)
        except Unreadable:
            continue


def ours(corpus: Corpus, embedder: Embedder | None, left_out: Collection[str] = ()) -> Search:
    """Return the product's search, by words alone where there is no embedder, without what is `left_out` of it."""
    made = searcher(corpus, embedder, left_out)
    return lambda query, k: [hit.passage for hit in made.search(query, k)]


def searcher(corpus: Corpus, embedder: Embedder | None, left_out: Collection[str] = ()) -> Searcher:
    """Return what `ours` searches with, which tells the scores too; signals and ways in may be `left_out`."""
    files: dict[str, list[int]] = {}
    for key, passage in enumerate(corpus.passages):
        files.setdefault(passage.path, []).append(key)
    vectors = None
    if embedder:
        vectors = Vectors.empty(embedder.dimensions)
        vectors.add(range(len(corpus.passages)), corpus.matrix)
    return Searcher(
        Lexical.build(enumerate(corpus.passages)),
        vectors,
        embedder,
        fetch=lambda ids: {key: corpus.passages[key] for key in ids},
        in_files=lambda paths: {key: corpus.passages[key] for path in paths for key in files.get(path, ())},
        signals={name: signal for name, signal in SIGNALS.items() if name not in left_out},
        cell_signals={name: signal for name, signal in CELL_SIGNALS.items() if name not in left_out},
        ways=[way for way in WAYS if way not in left_out],
    )


def _corpus(passages: Iterable[Passage], questions: list[Question], embedder: Embedder) -> Corpus:
    every = list(passages)
    return Corpus(every, embedder.embed([passage_text(passage) for passage in every]), questions)
