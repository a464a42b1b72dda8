"""What stands in the context that an answer is written from: the share of facts within a budget of tokens, by step.

No model runs: the passages are those that the product finds, fitted into the budget by the product itself, each step
switched on and off. Tokens are the embedder's, some tenth fewer than a model's.
"""

from __future__ import annotations

import asyncio
import os
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import cast

import numpy as np

from benchmarks.corpora import Corpus, Kept, Question, repositories, samples, searcher
from benchmarks.engine import parser
from benchmarks.notebooks.queries import corpus as notebooks
from benchmarks.notebooks.queries import read_queries
from benchmarks.questions import right, sample_rows
from lorebook_api.home import find_home
from lorebook_daemon.answer.assemble import Sheet, assemble
from lorebook_daemon.answer.context.steps import CONDENSING, GROWTHS, ON, SELECTIONS, SPARE, select
from lorebook_daemon.answer.retrieved import RootHit
from lorebook_daemon.engine.protocol import AnyPrompt, Engine, PromptSize
from lorebook_daemon.index.embed import Embedder, MiniLM
from lorebook_daemon.index.passage import Passage
from lorebook_daemon.models.pull import ensure_embedder

K = 6
BUDGETS = (200, 400, 800, 1600)
_ANSWER = 64
_QUICK = 5

Holds = Callable[[Sequence[Sheet]], bool]
"""Says whether the passages hold what answers one question."""


@dataclass(frozen=True)
class Case:
    """Questions over one corpus, and what it means that one of them can be answered."""

    name: str
    corpus: Corpus
    holds: Sequence[Holds]


@dataclass(frozen=True)
class Outcome:
    """Of all questions of a case: the share whose answer stands in the context, tokens and passages on average."""

    share: float
    tokens: float
    passages: float


class Counter:
    """As much of an engine as fitting needs: it counts tokens, with the embedder's tokenizer."""

    n_ctx = 8192

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._known: dict[str, int] = {}

    async def count(self, prompts: Sequence[AnyPrompt]) -> list[PromptSize]:
        """Return the tokens of each passage of the prompts; nothing else counts."""
        return [PromptSize(0, tuple(map(self._tokens, getattr(prompt, "passages", ())))) for prompt in prompts]

    def _tokens(self, text: str) -> int:
        if text not in self._known:
            lines = text.split("\n")
            self._known[text] = sum(self._embedder.count([line]) for line in lines)
        return self._known[text]


def main() -> None:
    """Print a table for each case: steps by budgets."""
    arguments = parser(__doc__)
    options = arguments.parse_args()
    embedder = MiniLM(ensure_embedder(find_home(), report=lambda progress: None).path)
    engine = Counter(embedder)
    for case in _cases(embedder, options.quick):
        print(f"\n{case.name}: {len(case.holds)} questions; share of answers in the context (tokens, passages)")
        print(f"{'':34}" + "".join(f"{budget:>20}" for budget in BUDGETS))
        found = _found(case.corpus, embedder)
        for name, on in _variants().items():
            outcomes = [_outcome(case, found, engine, on, budget) for budget in BUDGETS]
            cells = "".join(f"{one.share:8.3f} ({one.tokens:4.0f}, {one.passages:.1f})" for one in outcomes)
            print(f"{name:34}{cells}", flush=True)


def _variants() -> dict[str, frozenset[str]]:
    every = (*SELECTIONS, *GROWTHS, CONDENSING)
    return {
        "nothing": frozenset(),
        **{f"{name} alone": frozenset({name}) for name in every},
        "on by default": ON,
        **{f"default without {name}": ON - {name} for name in sorted(ON)},
        **{f"default and {name}": ON | {name} for name in every if name not in ON},
    }


def _cases(embedder: Embedder, quick: bool) -> Iterator[Case]:
    few = _QUICK if quick else None
    rows = [row for row in sample_rows() if row["answerable"]][:few]
    plain = samples(embedder)
    facts = [_fact_holder(question, row["answer"]) for question, row in zip(plain.questions, rows, strict=False)]
    yield Case("samples", plain, facts)
    yield Case("samples, every notebook and document twice", _doubled(plain), facts)
    queries = read_queries()[:few]
    asked = notebooks(queries, embedder)
    cells = [_place_holder(question) for question in asked.questions]
    yield Case("notebooks", asked, cells)
    yield Case("notebooks, each twice", _doubled(asked), cells)
    folder = os.environ.get("LOREBOOK_BENCH")
    for code in repositories(Path(folder), Kept(embedder, Path(folder))) if folder and not quick else ():
        yield Case("code", code, [_place_holder(question) for question in code.questions])


def _fact_holder(question: Question, spellings: Sequence[str]) -> Holds:
    return lambda sheets: any(_answers(question, sheet) and right(spellings, sheet.text) for sheet in sheets)


def _place_holder(question: Question) -> Holds:
    """Count a passage that touches the place; not a shortened one, of which nobody knows whether it still answers."""
    return lambda sheets: any(_answers(question, sheet) for sheet in sheets if not sheet.left_out)


def _answers(question: Question, sheet: Sheet) -> bool:
    own = replace(sheet.hit.passage, path=sheet.hit.passage.path.replace(_COPY, ""))
    return any(target.touched_by(own) for target in question.targets)


_COPY = "-Copy1"


def _doubled(corpus: Corpus) -> Corpus:
    """Return the corpus with a copy of each notebook and document beside it, as Jupyter names copies."""
    at = [place for place, passage in enumerate(corpus.passages) if passage.kind in ("notebook", "doc")]
    copies = [_copied(corpus.passages[place]) for place in at]
    return Corpus([*corpus.passages, *copies], np.concatenate([corpus.matrix, corpus.matrix[at]]), corpus.questions)


def _copied(passage: Passage) -> Passage:
    path = PurePosixPath(passage.path)
    return replace(passage, path=str(path.with_name(f"{path.stem}{_COPY}{path.suffix}")))


def _found(corpus: Corpus, embedder: Embedder) -> list[tuple[RootHit, ...]]:
    """Return what the product finds for each question: more than are wanted, so that some can be left out."""
    search = searcher(corpus, embedder)
    return [
        tuple(RootHit("", hit.passage, hit.score) for hit in search.search(question.text, SPARE * K, spread=False))
        for question in corpus.questions
    ]


def _outcome(
    case: Case, found: Sequence[tuple[RootHit, ...]], engine: Counter, on: Collection[str], budget: int
) -> Outcome:
    files: defaultdict[str, list[Passage]] = defaultdict(list)
    for passage in case.corpus.passages:
        files[passage.path].append(passage)
    held = tokens = passages = 0
    for question, hits, holds in zip(case.corpus.questions, found, case.holds, strict=False):
        sheets = asyncio.run(_sheets(question.text, hits, files, engine, on, budget))
        held += holds(sheets)
        tokens += sum(sheet.tokens for sheet in sheets)
        passages += len(sheets)
    count = len(case.holds)
    return Outcome(held / count, tokens / count, passages / count)


async def _sheets(
    question: str,
    hits: Sequence[RootHit],
    files: dict[str, list[Passage]],
    engine: Counter,
    on: Collection[str],
    budget: int,
) -> Sequence[Sheet]:
    def beside(root: str, path: str) -> Sequence[Passage]:
        return files[path]

    chosen = select(hits, K, on)
    assembled = await assemble(question, chosen, cast(Engine, engine), budget, _ANSWER, beside, on)
    return assembled.sheets


if __name__ == "__main__":
    main()
