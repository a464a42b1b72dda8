"""NDCG@10 and milliseconds a query of ours and of simple searches, over the same passages, in one run.

Ours is measured whole, by words alone, and without one signal, or one way for passages to come in, after another; a
quick run leaves these out.

The sample questions are always asked. Where LOREBOOK_BENCH names a folder with `annotations.txt` and the prepared
repositories beside it (or in `repos/`), its questions about code are asked too, of passages of code only.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.corpora import Corpus, Kept, Search, ours, repositories, samples
from benchmarks.engine import parser
from benchmarks.notebook_retrieval import interval
from benchmarks.searches import dense, grep, okapi
from benchmarks.verdict import say
from lorebook_api.home import find_home
from lorebook_daemon.index.embed import Embedder, MiniLM
from lorebook_daemon.index.search import WAYS
from lorebook_daemon.index.signals import CELL_SIGNALS, SIGNALS
from lorebook_daemon.models.pull import ensure_embedder

K = 10
NEAR = 5
ALL_SIGNALS = (*SIGNALS, *CELL_SIGNALS)
REACH = 0.875
_LEFT_OUT = (
    "questions about code are left out: LOREBOOK_BENCH names no folder. It wants one with annotations.txt and the "
    "repositories that are named there"
)


def main() -> None:
    """Print a table for each set of questions."""
    options = parser(__doc__).parse_args()
    folder = os.environ.get("LOREBOOK_BENCH")
    embedder = MiniLM(ensure_embedder(find_home(), report=lambda progress: None).path)
    print("samples")
    _table([samples(embedder)], embedder, not options.quick, ranks=True)
    if not folder:
        print(_LEFT_OUT)
    elif not options.quick:
        print("development repositories")
        kept = Kept(embedder, Path(folder))
        means = _table(list(repositories(Path(folder), kept)), embedder, ablate=True)
        say(f"NDCG@{K}, code", means["ours"], at_least=REACH)


def _table(corpora: list[Corpus], embedder: Embedder, ablate: bool, ranks: bool = False) -> dict[str, float]:
    """Print a line for each system; return their means."""
    systems: dict[str, Callable[[Corpus], Search]] = {
        "grep, any word": grep,
        "BM25Okapi, \\w+ tokens": okapi,
        "MiniLM alone": partial(dense, embedder=embedder),
        "ours, words only": partial(ours, embedder=None),
        "ours": partial(ours, embedder=embedder),
    }
    if ablate:
        systems |= {
            f"ours without {name}": partial(ours, embedder=embedder, left_out={name}) for name in (*ALL_SIGNALS, *WAYS)
        }
        systems["ours without any signal"] = partial(ours, embedder=embedder, left_out=ALL_SIGNALS)
    means = {}
    for name, make in systems.items():
        means[name], told = _measured(corpora, make, ranks)
        print(f"  {name:32} {told}", flush=True)
    return means


def _measured(corpora: list[Corpus], make: Callable[[Corpus], Search], ranks: bool) -> tuple[float, str]:
    gains, seconds, places = [], [], []
    for corpus in corpora:
        search = make(corpus)
        search(corpus.questions[0].text, K)
        for question in corpus.questions:
            start = time.perf_counter()
            found = search(question.text, K)
            seconds.append(time.perf_counter() - start)
            gains.append(question.ndcg(found, K))
            places.append(min(question.ranks(found), default=K + 1))
    mean, low, high = interval(np.array(gains))
    told = f"NDCG@{K} {mean:.3f} ({low:.3f} to {high:.3f})   {1000 * statistics.median(seconds):7.2f} ms"
    if not ranks:
        return mean, f"{told}   {len(gains)} questions"
    within = {n: sum(place <= n for place in places) for n in (1, NEAR, K)}
    return mean, f"{told}   first {within[1]}, within {NEAR} {within[NEAR]}, within {K} {within[K]}, of {len(places)}"


if __name__ == "__main__":
    main()
