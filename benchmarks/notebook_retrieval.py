"""NDCG@10 of ours and of simple searches over executed notebooks, in one run, with bootstrap intervals.

The queries and the notebooks are those of `benchmarks/notebooks/`. A query's target counts at the rank of the first
passage that touches one of its cells.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from benchmarks.corpora import Corpus, Question, Search, ours
from benchmarks.engine import parser
from benchmarks.notebooks.queries import DEVELOPMENT, KINDS, NAMED, SPLITS, Query, corpus, read_named, read_queries
from benchmarks.searches import dense, grep, okapi
from benchmarks.verdict import say
from lorebook_api.home import find_home
from lorebook_daemon.index.embed import Embedder, MiniLM
from lorebook_daemon.index.search import BY_FAILURE, BY_NAME
from lorebook_daemon.index.signals import CELL_SIGNALS
from lorebook_daemon.models.pull import ensure_embedder

K = 10
DEEP = 50
OURS, WORDS, MEANING = "ours", "ours, words only", "MiniLM alone"
_RESAMPLES = 5000
_QUICK = 20

Gains = NDArray[np.float64]
Interval = tuple[float, float, float]
"""A mean, and the ends of its 95% interval."""


def main() -> None:
    """Print a table of all systems, by kind and whole, and what ours is ahead of the best of the others."""
    arguments = parser(__doc__)
    arguments.add_argument("--split", choices=SPLITS, help="only this part of the queries")
    arguments.add_argument("--losses", action="store_true", help="where ours loses queries of the development part")
    options = arguments.parse_args()
    part = DEVELOPMENT if options.losses else options.split
    queries = [query for query in read_queries() if part in (None, query.split)][: _QUICK if options.quick else None]
    embedder = _embedder()
    asked = corpus(queries, embedder)
    searches = {name: make(asked) for name, make in _systems(embedder).items()}
    if options.losses:
        _print_losses(queries, asked, searches)
    else:
        gains = {name: _gains(asked.questions, search) for name, search in searches.items()}
        _print_table(queries, gains)
        _print_named(searches)
        if not options.quick:
            _print_left_out(queries, asked, gains[OURS], embedder)


def _embedder() -> Embedder:
    return MiniLM(ensure_embedder(find_home(), report=lambda progress: None).path)


def _systems(embedder: Embedder) -> dict[str, Callable[[Corpus], Search]]:
    return {
        "grep, any word": grep,
        "BM25Okapi, \\w+ tokens": okapi,
        MEANING: partial(dense, embedder=embedder),
        WORDS: partial(ours, embedder=None),
        OURS: partial(ours, embedder=embedder),
    }


def _gains(questions: Sequence[Question], search: Search) -> Gains:
    """Return each question's NDCG, in their order."""
    return np.array([question.ndcg(search(question.text, K), K) for question in questions])


def interval(gains: Gains, resamples: int = _RESAMPLES) -> Interval:
    """Return the mean and its 95% interval, by resampling the questions; the same gains give the same interval."""
    rows = np.random.default_rng(0).integers(0, len(gains), (resamples, len(gains)))
    low, high = np.percentile(gains[rows].mean(axis=1), [2.5, 97.5])
    return float(gains.mean()), float(low), float(high)


def _print_table(queries: Sequence[Query], gains: Mapping[str, Gains]) -> None:
    kinds = [kind for kind in KINDS if any(query.kind == kind for query in queries)]
    print(f"  {'NDCG@10':24} {f'all {len(queries)}':22} " + " ".join(f"{kind:12}" for kind in kinds))
    for name, each in gains.items():
        by_kind = (each[[query.kind == kind for query in queries]].mean() for kind in kinds)
        print(f"  {name:24} {_told(interval(each)):22} " + " ".join(f"{mean:<12.3f}" for mean in by_kind))
    others = {name: each for name, each in gains.items() if name not in (OURS, WORDS)}
    best = max(others, key=lambda name: float(others[name].mean()))
    ahead = gains[OURS] - others[best]
    print(f"  ours − {best}: {_told(interval(ahead), sign='+')}")
    say(f"NDCG@{K}", float(gains[OURS].mean()), at_least=0.8)
    say(f"NDCG@{K} over the best of grep, BM25, dense", float(ahead.mean()), at_least=0.1)


def _print_named(searches: Mapping[str, Search]) -> None:
    """Print what the systems make of the queries by name and by error, which count among no others."""
    asked = read_named()
    for kind in NAMED:
        questions = [question for of_kind, question in asked if of_kind == kind]
        gains = {name: _gains(questions, search) for name, search in searches.items()}
        told = "; ".join(f"{name} {_told(interval(each))}, first {sum(each == 1)}" for name, each in gains.items())
        print(f"  {kind} {len(questions)}: {told}")


def _print_left_out(queries: Sequence[Query], asked: Corpus, whole: Gains, embedder: Embedder) -> None:
    """Print what each signal of cells and way in brings: ours less ours without it, on each part of the queries."""
    for name in (*CELL_SIGNALS, BY_NAME, BY_FAILURE):
        brought = whole - _gains(asked.questions, ours(asked, embedder, {name}))
        parts = {split: brought[[query.split == split for query in queries]] for split in SPLITS}
        told = "; ".join(f"{split} {_told(interval(each), sign='+')}" for split, each in parts.items() if len(each))
        print(f"  {name} brings: {told}")


def _told(measured: Interval, sign: str = "") -> str:
    mean, low, high = (f"{value:{sign}.3f}" for value in measured)
    return f"{mean} ({low} to {high})"


def _print_losses(queries: Sequence[Query], asked: Corpus, searches: Mapping[str, Search]) -> None:
    """Print each query that ours does not answer first, with the rank that each step gives it, and what came first."""
    for query, question in zip(queries, asked.questions, strict=True):
        found = {name: searches[name](question.text, DEEP) for name in (OURS, WORDS, MEANING)}
        ranks = {name: min(question.ranks(passages), default=None) for name, passages in found.items()}
        if ranks[OURS] == 1:
            continue
        first = found[OURS][0]
        where = f"{first.path} cell {first.cell.index if first.cell else '-'}"
        told = ", ".join(f"{name} {rank or f'beyond {DEEP}'}" for name, rank in ranks.items())
        print(f"  {query.id} {query.kind}: {query.text}\n    wanted {query.notebook}, {query.note}\n    {told}")
        print(f"    first came {where}: {' '.join(first.text.split())[:110]}")


if __name__ == "__main__":
    main()
