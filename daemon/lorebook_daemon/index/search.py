"""The whole recipe of retrieval: two lists, one order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from lorebook_api.schema import Kind
from lorebook_daemon.index.embed import Embedder
from lorebook_daemon.index.lexical import Lexical, Mask
from lorebook_daemon.index.passage import Passage
from lorebook_daemon.index.rank import DEPTH, Found, Question, best_first, fuse
from lorebook_daemon.index.signals import CELL_SIGNALS, SIGNALS, SPREAD, Scores, Signal
from lorebook_daemon.index.tokens import definition_term
from lorebook_daemon.index.vectors import Vectors

DEFINERS = 10  # passages that define a name asked for come in even where both lists miss them


@dataclass(frozen=True)
class Hit:
    """A passage that was found; `score` is from 0 to 1 and can be compared with that of another root."""

    id: int
    passage: Passage
    score: float


@dataclass(frozen=True)
class Searcher:
    """Searches one root. Without vectors or an embedder the words alone decide."""

    lexical: Lexical
    vectors: Vectors | None
    embedder: Embedder | None
    fetch: Callable[[Sequence[int]], Mapping[int, Passage]]
    signals: Mapping[str, Signal] = field(default_factory=lambda: SIGNALS)
    cell_signals: Mapping[str, Signal] = field(default_factory=lambda: CELL_SIGNALS)

    def search(self, query: str, k: int, kind: Kind | None = None, *, spread: bool = True) -> list[Hit]:
        """Return at most `k` passages, best first; all of one `kind` where that is given.

        BM25Plus and embeddings give 50 passages each, passages that define a name asked for join them, the two
        lists are fused, words by how much of the question they explain, the signals of names and files move code
        among code, and cells lift their neighbours. Without `spread` one file may take all of the first places.
        """
        question = Question.read(query)
        among = None if kind is None else self.lexical.of_kind(kind)
        by_words = self._by_words(question, among)
        by_meaning = self._by_meaning(question, among)
        by_name = self._by_name(question, among)

        pool = self.fetch(list(dict.fromkeys((*by_words.ids, *by_meaning.ids, *by_name))))
        if not pool:  # one that was deleted a moment ago is not in it
            return []

        scores = fuse(list(pool), by_words, by_meaning)
        signals = [signal for name, signal in self.signals.items() if spread or name != SPREAD]
        pool = _code_in_order(question, pool, scores, signals)
        ids, passages = list(pool), list(pool.values())
        for signal in self.cell_signals.values():
            scores = signal(question, passages, scores)

        # Signals raise scores by their own measure; without the list's the roots of one question could not be merged.
        scores *= max(by_words.confidence, by_meaning.confidence) / (scores.max() or 1.0)
        return [Hit(ids[place], passages[place], float(scores[place])) for place in best_first(scores)[:k]]

    def _by_words(self, question: Question, among: Mask | None) -> Found:
        return Found.by_words(*self.lexical.top(question.terms, DEPTH, among), self.lexical.full_score(question.terms))

    def _by_meaning(self, question: Question, among: Mask | None) -> Found:
        if self.vectors is None or self.embedder is None:
            return Found()
        allowed = None if among is None else self.lexical.ids[among].tolist()
        return Found.by_meaning(*self.vectors.nearest(self.embedder.embed([question.text])[0], DEPTH, allowed))

    def _by_name(self, question: Question, among: Mask | None) -> list[int]:
        ids, _ = self.lexical.top([definition_term(name) for name in question.asked], DEFINERS, among)
        return [int(key) for key in ids]


def _code_in_order(
    question: Question, pool: Mapping[int, Passage], scores: Scores, signals: Sequence[Signal]
) -> dict[int, Passage]:
    """Return the passages of the pool in the order in which they have these scores, once signals moved code among code.

    The code passages share out the scores that they had: names of files say which module is meant, but not
    whether a module, a notebook or a note answers, and code with a fitting name would bury the cell that does.
    """
    rows = list(pool.items())
    code = np.array([place for place, (_, passage) in enumerate(rows) if passage.kind == "code"], np.int64)
    moved = scores[code]
    for signal in signals if len(code) else ():
        moved = signal(question, [rows[place][1] for place in code.tolist()], moved)
    order = np.arange(len(rows))
    order[code[best_first(scores[code])]] = code[best_first(moved)]
    return dict(rows[place] for place in order.tolist())
