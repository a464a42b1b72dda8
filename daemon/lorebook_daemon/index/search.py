"""The whole recipe of retrieval: two lists, one order."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np

from lorebook_api.retrieval import Filters
from lorebook_daemon.index.embed import Embedder, Matrix
from lorebook_daemon.index.learning import EVEN, Weights, weighted
from lorebook_daemon.index.lexical import Mask
from lorebook_daemon.index.neighbourhood import STEPS, Neighbourhood
from lorebook_daemon.index.passage import Passage
from lorebook_daemon.index.rank import DEPTH, Found, Question, best_first, fuse
from lorebook_daemon.index.searching import Meanings, Words
from lorebook_daemon.index.signals import CELL_SIGNALS, SIGNALS, SPREAD, Scores, Signal
from lorebook_daemon.index.tokens import FAILED, definition_term
from lorebook_daemon.index.trace import AMONG_ALL, FINAL, FUSED, MEANING, WORDS, Trace

DEFINERS = 10  # passages that define a name come in even where both lists miss them: a screenful, as of hits
FAILURES = 10  # passages of failed cells likewise, where an error is asked for
SETTERS = 40  # those that define what the best passages take from other files: ten passages, some names of each
ALL = Filters()

BY_NAME, BY_FAILURE = "by name", "by failure"
WAYS = (BY_NAME, BY_FAILURE, *STEPS)
"""How passages come in that neither list has, each of which an ablation may leave out."""


@dataclass(frozen=True)
class Hit:
    """A passage that was found; `score` is from 0 to 1 and can be compared with that of another root."""

    id: int
    passage: Passage
    score: float


def by_kind_alone(filters: Filters) -> None:
    """Bound nothing: kinds are the search's own to look at. Raises ValueError for what only an index can tell."""
    if filters != ALL:
        raise ValueError(f"there is no index here to look up {filters} in")


def no_files(_: Collection[str]) -> Mapping[int, Passage]:
    """Return no passages: there are no files beside those that are searched."""
    return {}


@dataclass(frozen=True)
class Searcher:
    """Searches one root. Without vectors or an embedder the words alone decide."""

    lexical: Words
    vectors: Meanings | None
    embedder: Embedder | None
    fetch: Callable[[Sequence[int]], Mapping[int, Passage]]
    choose: Callable[[Filters], Collection[int] | None] = by_kind_alone
    """Returns the ids of the passages within filters, None for all; it is not asked about kinds."""
    in_files: Callable[[Collection[str]], Mapping[int, Passage]] = no_files
    """Returns the passages of the files at these paths, by id, those that are there."""
    signals: Mapping[str, Signal] = field(default_factory=lambda: SIGNALS)
    cell_signals: Mapping[str, Signal] = field(default_factory=lambda: CELL_SIGNALS)
    ways: Collection[str] = WAYS

    def search(
        self,
        query: str,
        k: int,
        filters: Filters = ALL,
        *,
        spread: bool = True,
        weights: Weights = EVEN,
        trace: Trace | None = None,
    ) -> list[Hit]:
        """Return at most `k` passages within `filters`, best first.

        BM25Plus and embeddings give 50 passages each, passages that define a name asked for join them, and where an
        error is asked for those of failed cells; where that is all that is asked, words look for these alone. The two
        lists are fused, words by how much of the question they explain, what the best take from other files comes in
        and a script gives way to the notebook it is paired with, the signals of names and files move code among code,
        and cells lift their neighbours. Without `spread` one file may take all of the first places.
        `weights` is what was learnt of the signals; a `trace` is told what each step made of each candidate.
        Raises BadRequest for a filter that is none.
        """
        question = Question.read(query)
        among = self.among(filters)
        vector = self._embedded(question)
        by_words = self._by_words(self._terms(question, among), among)
        beside = (*self._by_name(question, among), *self._by_failure(question, among))
        read = self.fetch(list(dict.fromkeys((*by_words.ids, *beside))))
        by_meaning = self._by_meaning(vector(), among)

        pool = {**read, **self.fetch([key for key in by_meaning.ids if key not in read])}
        if not pool:  # one that was deleted a moment ago is not in it
            return []

        share = question.meaning * weights.get(MEANING, 1.0)
        pool, scores = self._neighbourhood(among).complete(pool, lambda ids: fuse(ids, by_words, by_meaning, share))
        steps = _Steps(question, weights, trace)
        steps.fused(list(pool), by_words, by_meaning, scores)
        signals = {name: signal for name, signal in self.signals.items() if spread or name != SPREAD}
        pool = _code_in_order(pool, scores, signals, steps)
        ids, passages = list(pool), list(pool.values())
        steps.note(AMONG_ALL, ids, scores)
        for name, signal in self.cell_signals.items():
            scores = steps.signal(name, signal, ids, passages, scores)

        # Signals raise scores by their own measure; without the list's the roots of one question could not be merged.
        scores *= max(by_words.confidence, by_meaning.confidence) / (scores.max() or 1.0)
        steps.note(FINAL, ids, scores)
        return [Hit(ids[place], passages[place], float(scores[place])) for place in best_first(scores)[:k]]

    def among(self, filters: Filters) -> Mask | None:
        """Return which passages, by place, are within `filters`; None where all are. Raises BadRequest."""
        masks = [np.isin(self.lexical.ids, chosen)] if (chosen := self._chosen(filters)) is not None else []
        if filters.kinds:
            masks.append(np.logical_or.reduce([self.lexical.of_kind(kind) for kind in filters.kinds]))
        return np.logical_and.reduce(masks) if masks else None

    def _neighbourhood(self, among: Mask | None) -> Neighbourhood:
        """Return what looks into other files, within the filters."""

        def defining(names: Sequence[str]) -> Mapping[int, Passage]:
            ids, _ = self.lexical.top([definition_term(name) for name in names], SETTERS, among)
            return self.fetch(ids.tolist())

        def in_files(paths: Collection[str]) -> Mapping[int, Passage]:
            found = self.in_files(paths)
            if among is None or not found:
                return found
            within = set(self.lexical.ids[among].tolist())
            return {key: passage for key, passage in found.items() if key in within}

        return Neighbourhood(defining, in_files, self.ways)

    def _chosen(self, filters: Filters) -> list[int] | None:
        ids = self.choose(replace(filters, kinds=()))
        return None if ids is None else list(ids)

    def _terms(self, question: Question, among: Mask | None) -> Sequence[str]:
        """Return the terms to look for; the mark of failed cells alone, where that is all that is asked for."""
        if "error" not in question.forms or question.beside_failure or BY_FAILURE not in self.ways:
            return question.terms
        return (FAILED,) if len(self.lexical.top([FAILED], 1, among)[0]) else question.terms

    def _by_words(self, terms: Sequence[str], among: Mask | None) -> Found:
        return Found.by_words(*self.lexical.top(terms, DEPTH, among), self.lexical.full_score(terms))

    def _embedded(self, question: Question) -> Callable[[], Matrix | None]:
        """Begin to embed the question, and return what waits for its vector; None where there are no vectors.

        The embedder lets others run: words are looked up meanwhile.
        """
        if self.vectors is None or self.embedder is None:
            return lambda: None
        rows = _embedding().submit(self.embedder.embed, [question.text])
        return lambda: rows.result()[0]

    def _by_meaning(self, vector: Matrix | None, among: Mask | None) -> Found:
        if self.vectors is None or vector is None:
            return Found()
        allowed = None if among is None else self.lexical.ids[among]
        return Found.by_meaning(*self.vectors.nearest(vector, DEPTH, allowed))

    def _by_name(self, question: Question, among: Mask | None) -> list[int]:
        """Return passages that define a name asked for, sought or spelled."""
        if BY_NAME not in self.ways:
            return []
        about = (question.about,) if question.about else ()
        found: list[int] = []
        for names in ((*question.asked, *question.sought, *about), question.spelled):
            terms = list(dict.fromkeys(map(definition_term, names)))
            found += self.lexical.top(terms, DEFINERS, among)[0].tolist() if terms else ()
        return found

    def _by_failure(self, question: Question, among: Mask | None) -> list[int]:
        """Return passages of failed cells where an error is asked for, first those with other words of the question."""
        if "error" not in question.forms or BY_FAILURE not in self.ways:
            return []
        others = list(question.beside_failure)
        terms = [FAILED] * (1 + 2 * len(others)) + others  # marked ones first, whatever else holds the words
        found: list[int] = self.lexical.top(terms, FAILURES, among)[0].tolist()
        return found


@cache
def _embedding() -> ThreadPoolExecutor:
    """Return the threads that embed questions; to start one for each question would take as long as its words do."""
    return ThreadPoolExecutor(thread_name_prefix="embedding")


@dataclass(frozen=True)
class _Steps:
    """The steps of one search: what is asked, how strongly the signals act, and who is told of it."""

    question: Question
    weights: Weights
    trace: Trace | None

    def fused(self, ids: Sequence[int], by_words: Found, by_meaning: Found, scores: Scores) -> None:
        """Tell of the two lists, and of the one that was made of them."""
        self.note(WORDS, by_words.ids, by_words.worths)
        self.note(MEANING, by_meaning.ids, by_meaning.worths)
        self.note(FUSED, ids, scores)

    def note(self, name: str, ids: Sequence[int], scores: Sequence[float] | Scores) -> None:
        """Tell of the scores after a step."""
        if self.trace is not None:
            self.trace.note(name, ids, scores)

    def signal(
        self, name: str, signal: Signal, ids: Sequence[int], passages: Sequence[Passage], scores: Scores
    ) -> Scores:
        """Return the scores after a signal of that name."""
        after = weighted(scores, signal(self.question, passages, scores), self.weights.get(name, 1.0))
        if self.trace is not None:
            self.trace.note(name, ids, after, scores)
        return after


def _code_in_order(
    pool: Mapping[int, Passage], scores: Scores, signals: Mapping[str, Signal], steps: _Steps
) -> dict[int, Passage]:
    """Return the passages of the pool in the order in which they have these scores, once signals moved code among code.

    The code passages share out the scores that they had: names of files say which module is meant, but not
    whether a module, a notebook or a note answers, and code with a fitting name would bury the cell that does.
    """
    rows = list(pool.items())
    code = np.array([place for place, (_, passage) in enumerate(rows) if passage.kind == "code"], np.int64)
    ids, passages = [rows[place][0] for place in code.tolist()], [rows[place][1] for place in code.tolist()]
    moved = scores[code]
    for name, signal in signals.items() if len(code) else ():
        moved = steps.signal(name, signal, ids, passages, moved)
    order = np.arange(len(rows))
    order[code[best_first(scores[code])]] = code[best_first(moved)]
    return dict(rows[place] for place in order.tolist())
