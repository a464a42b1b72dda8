"""How quick and how big an index of a big tree is, beside semble, rank-bm25 and bm25s on the same passages.

The tree is Python source of the standard library and of what is installed here. `--passages N` measures a search of so
many, 80,000 where it is not given; with a million or more, that is all it does, with the recall of the graph.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import psutil
from rank_bm25 import BM25Plus

from benchmarks.engine import parser
from benchmarks.first_index import first_index
from benchmarks.stocked import drawn, milliseconds, opening, real_vectors, stock
from benchmarks.tree import copies, copy_tree, passages_in, questions
from benchmarks.verdict import say, spread
from lorebook_api.home import find_home
from lorebook_daemon.index.embed import Matrix, MiniLM
from lorebook_daemon.index.lexical import K1, B, Lexical
from lorebook_daemon.index.opened import OpenIndex
from lorebook_daemon.index.passage import Passage
from lorebook_daemon.index.tokens import passage_terms, question_terms
from lorebook_daemon.index.update import update
from lorebook_daemon.index.vectors import Vectors
from lorebook_daemon.models.pull import ensure_embedder

MEGABYTES = 60.0
PASSAGES = 80_000
MILLION = 1_000_000
EMBEDDED = 3_000
"""Passages that are embedded in truth; the vectors of the others are drawn after these (see `stocked.drawn`)."""
CHANGED = 100
"""One file in so many is touched."""
TURNS = 3
SLOW = 20
"""Questions that are put to a peer that takes a tenth of a second for each."""


def main() -> None:
    """Measure the indexing of the tree, then the search."""
    arguments = parser(__doc__)
    arguments.add_argument("--passages", type=int, default=PASSAGES)
    options = arguments.parse_args()
    print(f"load of the machine before: {psutil.getloadavg()[0]:.1f} on {psutil.cpu_count(logical=False)} cores")
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch, "tree")
        size = copy_tree(tree, 2.0 if options.quick else MEGABYTES)
        if options.passages < MILLION:
            indexing(tree, Path(scratch), size, 1 if options.quick else TURNS)
        real = list(passages_in(tree))
        searching(real, Path(scratch, "index"), options)


def indexing(tree: Path, scratch: Path, size: float, turns: int) -> None:
    """Print the seconds until words can be searched, semble's on the same tree, and those after a change."""
    own: list[float] = []
    semble: list[float] = []
    for turn in range(turns):
        own.append(first_index(tree, scratch / f"first{turn}").seconds)
        semble += semble_index(tree)
    folder = scratch / "first0"
    say(f"{size:.0f} MB searchable by words, s ({spread(own, 's').strip()})", statistics.median(own), at_most=15)
    if semble:
        say("÷ semble's index time", statistics.median(own) / statistics.median(semble), at_most=1)
        print(f"semble: {spread(semble, 's')}")
    times = [changed_again(tree, folder) for _ in range(turns)]
    say("1% of the files changed, searchable again, s", statistics.median(times), at_most=1.5)


def semble_index(tree: Path) -> list[float]:
    """Return semble's seconds, without its start, of a process as patient as our worker; none where it is not here."""
    if importlib.util.find_spec("semble") is None:
        print("semble is not installed: pip install --group bench")
        return []
    command = [sys.executable, "-m", "benchmarks.semble_index", str(tree)]
    told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, preexec_fn=_step_back).stdout
    return [float(told.split()[-1])]


def _step_back() -> None:
    os.nice(10)


def changed_again(tree: Path, folder: Path) -> float:
    """Touch one file in a hundred; return the seconds until a search finds what was written."""
    mark = f"newcomer{time.monotonic_ns()}"
    with closing(OpenIndex.open(folder, None)) as index:
        index.search(mark, 1)
        for file in sorted(tree.rglob("*.py"))[::CHANGED]:
            with file.open("a", encoding="utf-8") as out:
                out.write(f"\n# {mark}\n")
        start = time.perf_counter()
        update(tree, folder, max_file_mb=20, report=lambda progress: None)
        if mark not in index.search(mark, 1)[0].passage.text:
            raise SystemExit("what was changed is not found")
        return time.perf_counter() - start


def searching(real: Sequence[Passage], folder: Path, options: argparse.Namespace) -> None:
    """Print milliseconds a question, by words and with vectors, what the index takes to open, and recall."""
    count = 2_000 if options.quick else options.passages
    home = find_home()
    place = ensure_embedder(home, report=lambda progress: None).path
    embedder = MiniLM(place)
    sample = list(real[:: max(1, len(real) // (100 if options.quick else EMBEDDED))])
    vectors = real_vectors(home.cache / "benchmarks" / f"scale-{len(sample)}.npz", sample, embedder)
    start = time.perf_counter()
    stock(folder, copies(real, count), embedder.identity, drawn(vectors, count))
    seconds = time.perf_counter() - start
    print(f"{count:,} passages ({min(count, len(real)):,} real ones, the rest copies), made in {seconds:.0f} s")
    asked = questions(real, SLOW if options.quick else 300)
    with closing(OpenIndex.open(folder, embedder)) as index:
        hybrid = milliseconds(lambda question: index.search(question, 10), asked)
    say(
        "hybrid search with the question's embedding, p50 ms",
        statistics.median(hybrid),
        at_most=12 if count < MILLION else 30,
    )
    print(f"p95 {np.percentile(hybrid, 95):.1f} ms")
    by_words(folder, asked, None if count >= MILLION else list(copies(real, count)))
    cost(folder, place, count)
    recall(folder, embedder, drawn(vectors, count), asked)


def cost(folder: Path, embedder: Path, count: int) -> None:
    """Print what a process pays that opens the index."""
    found = [opening(folder, embedder) for _ in range(TURNS)]
    ms, mb = (statistics.median(values) for values in ([one.ms for one in found], [one.mb for one in found]))
    if count < MILLION:
        say("cold load, ms", ms, at_most=250)
        say("memory that it adds, MB", mb, at_most=250)
    else:
        print(f"cold load {ms:.0f} ms")
        say("memory that it adds, GB", mb / 1000, at_most=2.5)
    print(f"the whole process, embedder included: {found[-1].all_mb:.0f} MB")


def by_words(folder: Path, asked: Sequence[str], passages: Sequence[Passage] | None) -> None:
    """Print milliseconds of the list by words and of the whole search by words, beside the peers'."""
    lexical = Lexical.load(folder / "lexical-1.words")
    terms = [question_terms(question) for question in asked]
    ours = milliseconds(lambda question: lexical.top(question, 50), terms)
    say("the best fifty by words, p50 ms", statistics.median(ours), at_most=1 if passages is not None else None)
    with closing(OpenIndex.open(folder, None)) as index:
        whole = milliseconds(lambda question: index.search(question, 10), asked)
    print(f"whole search by words alone, with its ranking and its passages: p50 {statistics.median(whole):.2f} ms")
    for name, make in (_PEERS if passages is not None else {}).items():
        search = make([_bag(passage) for passage in passages or ()])
        if search is not None:
            peer = milliseconds(search, terms[:SLOW])
            ratio = statistics.median(ours) / statistics.median(peer)
            print(f"{name}: p50 {statistics.median(peer):.2f} ms; ours ÷ {name} {ratio:.4f}")
            if name == "rank-bm25":
                say("ours ÷ rank-bm25", ratio, at_most=0.01)


def _bag(passage: Passage) -> list[str]:
    return [sys.intern(term) for term, times in passage_terms(passage).items() for _ in range(times)]


def _rank_bm25(bags: list[list[str]]) -> Callable[[list[str]], object]:
    index = BM25Plus(bags, k1=K1, b=B)
    return lambda terms: np.argpartition(-index.get_scores(terms), 50)[:50]


def _bm25s(bags: list[list[str]]) -> Callable[[list[str]], object] | None:
    if importlib.util.find_spec("bm25s") is None:
        print("bm25s is not installed: pip install --group bench")
        return None
    bm25s = importlib.import_module("bm25s")

    index = bm25s.BM25(method="bm25+", k1=K1, b=B)
    index.index(bags, show_progress=False)
    return lambda terms: index.retrieve([terms], k=50, show_progress=False)


_PEERS = {"rank-bm25": _rank_bm25, "bm25s": _bm25s}


def recall(folder: Path, embedder: MiniLM, matrix: Iterator[Matrix], asked: Sequence[str]) -> None:
    """Print which share of the ten nearest the graph finds, against comparing with every vector."""
    asked_for = embedder.embed(asked)
    scores, keys = np.zeros((len(asked), 0), np.float32), np.zeros((len(asked), 0), np.int64)
    first = 1
    for part in matrix:
        numbers = np.broadcast_to(np.arange(first, first + len(part)), (len(asked), len(part)))
        scores, keys = np.concatenate([scores, asked_for @ part.T], 1), np.concatenate([keys, numbers], 1)
        best = np.argpartition(-scores, 9, axis=1)[:, :10]
        scores, keys = np.take_along_axis(scores, best, 1), np.take_along_axis(keys, best, 1)
        first += len(part)
    vectors = Vectors.load(folder / "vectors-1.graph")
    found = [vectors.nearest(row, 10)[0].tolist() for row in asked_for]
    hits = sum(len(set(exact.tolist()) & set(near)) for exact, near in zip(keys, found, strict=True))
    say("recall@10 of the graph against exact", hits / keys.size, at_least=0.95)


if __name__ == "__main__":
    main()
