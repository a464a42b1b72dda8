"""NDCG@10 and milliseconds a query of ours and of simple searches, over the same passages, in one run.

The sample questions are always asked. Where LOREBOOK_BENCH names a folder with `annotations.txt` and the prepared
repositories beside it (or in `repos/`), its questions about code are asked too, of passages of code only.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import re
import statistics
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rank_bm25 import BM25Okapi

from lorebook_api.home import find_home
from lorebook_api.schema import Skipped
from lorebook_daemon.index.embed import Embedder, Matrix, MiniLM, passage_text
from lorebook_daemon.index.lexical import Lexical
from lorebook_daemon.index.passage import Passage, Unreadable
from lorebook_daemon.index.search import Searcher
from lorebook_daemon.index.signals import CELL_SIGNALS, SIGNALS
from lorebook_daemon.index.split import read_passages
from lorebook_daemon.index.vectors import Vectors
from lorebook_daemon.index.walk import walk
from lorebook_daemon.models.pull import ensure_embedder

SAMPLES = Path(__file__).parent.parent / "samples"
K = 10
NEAR = 5
ALL_SIGNALS = (*SIGNALS, *CELL_SIGNALS)

Search = Callable[[str], Sequence[Passage]]


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

    def ndcg(self, found: Sequence[Passage]) -> float:
        """Return NDCG at the number of passages found: the ideal has all targets first."""
        wanted = 1 if self.any_one else min(K, len(self.targets))
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


def main() -> None:
    """Print a table for each set of questions."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ablate", action="store_true", help="leave out one signal after another")
    options = parser.parse_args()
    folder = os.environ.get("LOREBOOK_BENCH")
    embedder = MiniLM(ensure_embedder(find_home(), report=lambda progress: None).path)
    print("samples")
    _table([_samples(embedder)], embedder, options.ablate, ranks=True)
    if folder:
        print("development repositories")
        kept = Kept(embedder, Path(folder))
        _table(list(_repositories(Path(folder), kept)), embedder, options.ablate)


def _table(corpora: list[Corpus], embedder: Embedder, ablate: bool, ranks: bool = False) -> None:
    systems: dict[str, Callable[[Corpus], Search]] = {
        "grep, any word": _grep,
        "BM25Okapi, \\w+ tokens": _okapi,
        "MiniLM alone": partial(_minilm, embedder=embedder),
        "ours, words only": partial(_ours, embedder=None),
        "ours": partial(_ours, embedder=embedder),
    }
    if ablate:
        systems |= {f"ours without {name}": partial(_ours, embedder=embedder, left_out={name}) for name in ALL_SIGNALS}
        systems["ours without any signal"] = partial(_ours, embedder=embedder, left_out=ALL_SIGNALS)
    for name, make in systems.items():
        print(f"  {name:32} {_measured(corpora, make, ranks)}", flush=True)


def _measured(corpora: list[Corpus], make: Callable[[Corpus], Search], ranks: bool) -> str:
    gains, seconds, places = [], [], []
    for corpus in corpora:
        search = make(corpus)
        search(corpus.questions[0].text)
        for question in corpus.questions:
            start = time.perf_counter()
            found = search(question.text)
            seconds.append(time.perf_counter() - start)
            gains.append(question.ndcg(found))
            places.append(min(question.ranks(found), default=K + 1))
    told = f"NDCG@{K} {statistics.fmean(gains):.3f}   {1000 * statistics.median(seconds):7.2f} ms"
    if not ranks:
        return f"{told}   {len(gains)} questions"
    within = {n: sum(place <= n for place in places) for n in (1, NEAR, K)}
    return f"{told}   first {within[1]}, within {NEAR} {within[NEAR]}, within {K} {within[K]}, of {len(places)}"


def _ours(corpus: Corpus, embedder: Embedder | None, left_out: Collection[str] = ()) -> Search:
    vectors = None
    if embedder:
        vectors = Vectors.empty(embedder.dimensions)
        vectors.add(range(len(corpus.passages)), corpus.matrix)
    searcher = Searcher(
        Lexical.build(enumerate(corpus.passages)),
        vectors,
        embedder,
        fetch=lambda ids: {key: corpus.passages[key] for key in ids},
        signals={name: signal for name, signal in SIGNALS.items() if name not in left_out},
        cell_signals={name: signal for name, signal in CELL_SIGNALS.items() if name not in left_out},
    )
    return lambda query: [hit.passage for hit in searcher.search(query, K)]


def _minilm(corpus: Corpus, embedder: Embedder) -> Search:
    return lambda query: _best(corpus, corpus.matrix @ embedder.embed([query])[0])


def _grep(corpus: Corpus) -> Search:
    """Order passages by how many of the question's words stand in them, as `grep -i` would find them."""
    texts = [passage.text.lower() for passage in corpus.passages]

    def search(query: str) -> list[Passage]:
        asked = set(re.findall(r"\w+", query.lower()))
        return _best(corpus, [float(sum(word in text for word in asked)) for text in texts])

    return search


def _okapi(corpus: Corpus) -> Search:
    index = BM25Okapi([re.findall(r"\w+", passage.text.lower()) or [""] for passage in corpus.passages])
    return lambda query: _best(corpus, index.get_scores(re.findall(r"\w+", query.lower())))


def _best(corpus: Corpus, scores: npt.ArrayLike) -> list[Passage]:
    return [corpus.passages[place] for place in np.argsort(-np.asarray(scores), kind="stable")[:K]]


def _samples(embedder: Embedder) -> Corpus:
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


def _repositories(folder: Path, embedder: Embedder) -> Iterator[Corpus]:
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


def _corpus(passages: Iterable[Passage], questions: list[Question], embedder: Embedder) -> Corpus:
    every = list(passages)
    return Corpus(every, embedder.embed([passage_text(passage) for passage in every]), questions)


if __name__ == "__main__":
    main()
