"""What reranking, rewriting and questions written ahead bring over the first search: NDCG@10, and milliseconds a query.

The queries are those of `benchmarks/notebooks/`, and where `--sets` asks for them the answerable sample questions and
the follow-up questions in `follow_ups.jsonl`. Every list is read to its depth, however long that takes. What the model
said is kept where `--kept` names a file, so that constants are chosen without it; the milliseconds are measured anew
each time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np

from benchmarks.corpora import Question, samples, searcher
from benchmarks.engine import find_model, parser, running
from benchmarks.kept_engine import KeptEngine
from benchmarks.notebook_retrieval import Gains, interval
from benchmarks.notebooks.queries import KINDS, SPLITS, corpus, read_queries
from benchmarks.verdict import say
from lorebook_api.asking import Message
from lorebook_api.home import find_home
from lorebook_api.retrieval import Rerank, Rewrite
from lorebook_daemon.answer.doc2query import Foreseen, Questions, raised, write_questions
from lorebook_daemon.answer.prompts import passage_text
from lorebook_daemon.answer.reranking import DEPTH, RERANKERS, WEIGHT, Means, Reranker, Reranking, is_sure, reranked
from lorebook_daemon.answer.retrieved import Retrieved, RootHit
from lorebook_daemon.answer.rewriting import REWRITERS, Rewriter, Widened
from lorebook_daemon.engine.protocol import Engine
from lorebook_daemon.index.embed import Embedder, MiniLM
from lorebook_daemon.index.search import Searcher
from lorebook_daemon.models.pull import ensure_embedder

K = 10
SAMPLES, FOLLOW_UPS, AHEAD, BEFORE = "samples", "follow-ups", "ahead", "question before"
READERS: tuple[Rerank, ...] = ("model", "judge")
WRITERS: tuple[Rewrite, ...] = ("identifiers", "hyde", "multi-query")
WEIGHTS = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 8.0)
DEPTHS = (4, 8, 12, 16, 24, 40)
LEADS = (0.05, 0.1, 0.2, 0.3, 0.5)
SHARES = (0.1, 0.2, 0.3, 0.5, 1.0, 2.0)
_FOLLOW_UPS = Path(__file__).resolve().parent / "follow_ups.jsonl"
_TIMED, _QUICK, _AT_ONCE = 5, 10, 6
_PATIENCE_S = 600.0


@dataclass(frozen=True)
class First:
    """The product's search with nothing after it, as a Retriever."""

    searcher: Searcher

    async def retrieve(self, query: str, k: int) -> Retrieved:
        """Return the best passages."""
        return Retrieved(self.hits(query, k), "hybrid")

    def hits(self, query: str, k: int) -> tuple[RootHit, ...]:
        """Return the best passages with their scores."""
        return tuple(RootHit("", hit.passage, hit.score) for hit in self.searcher.search(query, k))


@dataclass(frozen=True)
class Asked:
    """One question: its kind, and the conversation before it."""

    question: Question
    kind: str = "all"
    history: tuple[Message, ...] = ()


@dataclass(frozen=True)
class Bench:
    """Questions, the search that they are put to, and the model that helps it."""

    name: str
    asked: Sequence[Asked]
    first: First
    embedder: Embedder
    engine: KeptEngine
    depth: int


Way = Callable[[Bench, Asked], Awaitable[Sequence[RootHit]]]
"""Finds passages for a question, best first."""


def main() -> None:
    """Print a table for each set of questions, or, with `--choose`, what each constant would give."""
    arguments = parser(__doc__)
    arguments.add_argument("--kept", type=Path, help="keep what the model says in this file")
    arguments.add_argument("--most", type=int, default=0, help="so many questions of each set, taken evenly")
    arguments.add_argument("--depth", type=int, default=DEPTH, help="passages that are reranked")
    arguments.add_argument("--sets", nargs="+", choices=tuple(_SETS), default=list(SPLITS))
    arguments.add_argument("--ways", nargs="+", choices=(*READERS, *WRITERS, AHEAD))
    arguments.add_argument("--choose", action="store_true", help="NDCG@10 by weight, depth, lead and share")
    arguments.add_argument("--times", action="store_true", help="milliseconds alone, of the rewriters as well")
    options = arguments.parse_args()
    options.ways = options.ways or ["model", *(WRITERS if options.times else ())]
    options.most = options.most or (_QUICK if options.quick else 0)
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_run(options, options.kept or Path(folder) / "kept.sqlite3"))


async def _run(options: argparse.Namespace, kept: Path) -> None:
    model = find_model(options.model)
    embedder = MiniLM(ensure_embedder(find_home(), report=lambda progress: None).path)
    reranked_by_model: dict[str, Gains] = {}
    for name in options.sets:
        asked, first = _SETS[name](embedder)
        step = max(1, -(-len(asked) // options.most)) if options.most else 1
        async with KeptEngine(model, kept) as engine:
            bench = Bench(name, asked[::step], first, embedder, engine, options.depth)
            if options.times:
                await _print_times(bench, options)
            elif options.choose:
                await _choose(bench, options.ways)
            else:
                gains = await _print_table(bench, (*_ALONE, "follow-up") if name == FOLLOW_UPS else options.ways)
                reranked_by_model |= {name: gains["model"]} if "model" in gains else {}
    if set(SPLITS) <= set(reranked_by_model):
        _print_verdict(np.concatenate([reranked_by_model[name] for name in SPLITS]))


# -- the questions


def _notebooks(split: str) -> Callable[[Embedder], tuple[list[Asked], First]]:
    def read(embedder: Embedder) -> tuple[list[Asked], First]:
        queries = [query for query in read_queries() if query.split == split]
        made = corpus(queries, embedder)
        asked = [Asked(one, query.kind) for one, query in zip(made.questions, queries, strict=True)]
        return asked, First(searcher(made, embedder))

    return read


def _samples(embedder: Embedder) -> tuple[list[Asked], First]:
    made = samples(embedder)
    return [Asked(question) for question in made.questions], First(searcher(made, embedder))


def _follow_ups(embedder: Embedder) -> tuple[list[Asked], First]:
    rows = [json.loads(line) for line in _FOLLOW_UPS.read_text(encoding="utf-8").splitlines()]
    by_id = {query.id: query for query in read_queries()}
    made = corpus([by_id[row["of"]] for row in rows], embedder)
    asked = [
        Asked(
            replace(question, text=row["question"]),
            history=(Message("user", row["before"]), Message("assistant", row["answer"])),
        )
        for question, row in zip(made.questions, rows, strict=True)
    ]
    return asked, First(searcher(made, embedder))


_SETS = {**{split: _notebooks(split) for split in SPLITS}, SAMPLES: _samples, FOLLOW_UPS: _follow_ups}


# -- the ways


async def _plain(bench: Bench, asked: Asked) -> Sequence[RootHit]:
    return bench.first.hits(asked.question.text, K)


async def _with_before(bench: Bench, asked: Asked) -> Sequence[RootHit]:
    """Look up the last question and this one as one text: no model is asked."""
    return bench.first.hits(f"{asked.history[0].content} {asked.question.text}", K)


def _read_by(name: Rerank) -> Way:
    async def find(bench: Bench, asked: Asked) -> Sequence[RootHit]:
        hits = bench.first.hits(asked.question.text, bench.depth)
        if is_sure(hits):
            return hits
        return reranked(hits, await _reranker(name, bench.engine).scores(asked.question.text, hits))

    return find


def _written_by(name: Rewrite, *, beside: bool = True) -> Way:
    async def find(bench: Bench, asked: Asked) -> Sequence[RootHit]:
        rewritten = await _rewriter(name).rewrite(asked.question.text, asked.history, bench.engine)
        retriever = Widened(bench.first, *((rewritten.queries, rewritten.instead) if beside else ((),)))
        return (await retriever.retrieve(rewritten.question, K)).hits

    return find


async def _foreseen(bench: Bench, asked: Asked) -> Sequence[RootHit]:
    with tempfile.TemporaryDirectory() as folder:
        questions = await _questions_for(bench, bench.first.hits(asked.question.text, bench.depth), Path(folder))
        return (await Foreseen(bench.first, _always(questions)).retrieve(asked.question.text, K)).hits


def _always(questions: Questions) -> Callable[[], Awaitable[Questions]]:
    async def known() -> Questions:
        return questions

    return known


async def _questions_for(bench: Bench, hits: Sequence[RootHit], folder: Path) -> Questions:
    """Have the questions of these passages written, some passages at once."""
    places = asyncio.Semaphore(_AT_ONCE)

    async def written(text: str) -> tuple[str, tuple[str, ...]]:
        async with places:
            return text, await write_questions(text, bench.engine)

    questions = Questions(folder, bench.embedder)
    for text, lines in await asyncio.gather(*(written(passage_text(hit)) for hit in hits)):
        questions.put(text, lines)
    return questions


_ALONE = ("follow-up alone", BEFORE)
_WAYS: dict[str, Way] = {
    **{name: _read_by(name) for name in READERS},
    **{name: _written_by(name) for name in (*WRITERS, "follow-up")},
    "follow-up alone": _written_by("follow-up", beside=False),
    BEFORE: _with_before,
    AHEAD: _foreseen,
}


def _reranker(name: Rerank, engine: Engine) -> Reranker:
    make = RERANKERS[name]
    assert make is not None
    return make(Means(engine))


def _rewriter(name: Rewrite) -> Rewriter:
    rewriter = REWRITERS[name]
    assert rewriter is not None
    return rewriter


# -- what they bring


async def _print_table(bench: Bench, ways: Sequence[str]) -> dict[str, Gains]:
    """Print what each way finds, by kind and whole, and what it brings; return each question's NDCG by way."""
    kinds = [kind for kind in KINDS if any(asked.kind == kind for asked in bench.asked)]
    print(f"\n{bench.name}, {len(bench.asked)} questions, {bench.engine.model}")
    print(f"  {'NDCG@10':16} {'all':7} {' '.join(f'{kind:12}' for kind in kinds)} gain", flush=True)
    plain = await _gains(bench, _plain)
    found: dict[str, Gains] = {}
    for name in ("first search", *ways):
        found[name] = gains = await _gains(bench, _WAYS[name]) if name in _WAYS else plain
        by_kind = " ".join(f"{gains[[asked.kind == kind for asked in bench.asked]].mean():<12.3f}" for kind in kinds)
        mean, low, high = interval(gains - plain)
        print(f"  {name:16} {gains.mean():<7.3f} {by_kind} {mean:+.3f} ({low:+.3f} to {high:+.3f})", flush=True)
    return found


def _print_verdict(gains: Gains) -> None:
    mean, low, high = interval(gains)
    print(f"\nall {len(gains)} questions about notebooks, + model: {mean:.3f} ({low:.3f} to {high:.3f})")
    say(f"NDCG@{K} with the model's reranking", mean, at_least=0.8)


async def _gains(bench: Bench, way: Way) -> Gains:
    """Return each question's NDCG, in their order."""
    return np.array([_ndcg(asked, await way(bench, asked)) for asked in bench.asked])


def _ndcg(asked: Asked, hits: Sequence[RootHit]) -> float:
    return asked.question.ndcg([hit.passage for hit in hits[:K]], K)


async def _choose(bench: Bench, ways: Sequence[str]) -> None:
    found = [bench.first.hits(asked.question.text, bench.depth) for asked in bench.asked]
    for way in ways:
        print(f"{bench.name}, {bench.engine.model}, {way}", flush=True)
        if way in READERS:
            reader = _reranker(way, bench.engine)  # type: ignore[arg-type]
            lists = [hits[: bench.depth] for hits in found]
            scores = [
                await reader.scores(asked.question.text, hits) for asked, hits in zip(bench.asked, lists, strict=True)
            ]
            _print_weights(bench, lists, scores)
        elif way == AHEAD:
            await _print_shares(bench, found)


def _print_weights(bench: Bench, found: Sequence[Sequence[RootHit]], scores: Sequence[Sequence[float]]) -> None:
    """Print NDCG by weight and depth with every list read, then by the lead from which a list is left unread."""
    for weight, depth in product(WEIGHTS, [depth for depth in DEPTHS if depth <= bench.depth]):
        orders = [reranked(hits, one[:depth], weight) for hits, one in zip(found, scores, strict=True)]
        print(f"  weight {weight:<4} depth {depth:<2} {_mean(bench, orders):.3f}")
    for lead in LEADS:
        sure = [_lead(hits) > lead for hits in found]
        orders = [
            tuple(hits) if skip else reranked(hits, one) for hits, one, skip in zip(found, scores, sure, strict=True)
        ]
        print(
            f"  weight {WEIGHT}, sure from a lead of {lead:<4} {_mean(bench, orders):.3f}, {np.mean(sure):.0%} unread"
        )


async def _print_shares(bench: Bench, found: Sequence[Sequence[RootHit]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        questions = await _questions_for(bench, [hit for hits in found for hit in hits], Path(folder))
        nearest = [
            questions.nearness(asked.question.text, [passage_text(hit) for hit in hits])
            for asked, hits in zip(bench.asked, found, strict=True)
        ]
    for share in SHARES:
        orders = [raised(hits, near, share) for hits, near in zip(found, nearest, strict=True)]
        print(f"  share {share:<4} {_mean(bench, orders):.3f}", flush=True)


def _lead(hits: Sequence[RootHit]) -> float:
    return (hits[0].score - hits[1].score) / (hits[0].score or 1.0) if len(hits) > 1 else 1.0


def _mean(bench: Bench, orders: Sequence[Sequence[RootHit]]) -> float:
    return float(np.mean([_ndcg(asked, hits) for asked, hits in zip(bench.asked, orders, strict=True)]))


# -- what they cost


async def _print_times(bench: Bench, options: argparse.Namespace) -> None:
    """Print the median milliseconds of a few questions: with passages never read before, then again."""
    unsure = [one for one in bench.asked if not is_sure(bench.first.hits(one.question.text, DEPTH))][:_TIMED]
    print(f"\nms a query, {len(unsure)} questions of {bench.name}, {options.model}, depth {DEPTH}", flush=True)
    for way in (way for way in options.ways if way != AHEAD):
        async with running(find_model(options.model)) as engine:
            if way in READERS:
                retriever = Reranking(bench.first, _reranker(way, engine), _nobody, _PATIENCE_S)
                cold, warm = [
                    await _timed(unsure, lambda one: retriever.retrieve(one.question.text, K))  # noqa: B023
                    for _ in range(2)
                ]
                print(f"  {way:14} cold {cold:7.0f}, warm {warm:7.0f}", flush=True)
            else:
                took = await _timed(unsure, lambda one: _rewriter(way).rewrite(one.question.text, (), engine))  # noqa: B023
                print(f"  {way:14} {took:7.0f}, before the search", flush=True)


async def _timed(asked: Sequence[Asked], work: Callable[[Asked], Awaitable[object]]) -> float:
    times = []
    for one in asked:
        begun = time.perf_counter()
        await work(one)
        times.append((time.perf_counter() - begun) * 1000)
    return float(np.median(times))


async def _nobody(event: str, body: object) -> None:
    """Show no progress."""


if __name__ == "__main__":
    main()
