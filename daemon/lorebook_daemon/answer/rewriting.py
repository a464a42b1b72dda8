"""Rewriting: a question in other words before it is looked up, by the model that answers it.

A follow-up question is made one that stands by itself. The other ways keep the question and look up something beside
it: names that the code may use, a passage that might answer, the same question put differently. Several lists are then
made one.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Protocol

from lorebook_api.asking import Message as Said
from lorebook_api.asking import Sampling
from lorebook_api.retrieval import Rewrite
from lorebook_daemon.answer.retrieved import Retrieved, Retriever, RootHit
from lorebook_daemon.engine.protocol import ASKING, Engine, Message, Prompt, Token, Turn
from lorebook_daemon.index.tokens import STOP_WORDS, file_words, words

RRF_K = 60  # Cormack, Clarke and Büttcher, SIGIR 2009
OWN = 2.0
"""Weight of the question's own list beside that of each other query."""
FOLLOW_UP_TURNS = 4
"""Turns of the conversation that a follow-up question is understood by."""
_TURN_LONGEST = 600
"""Characters of each of them: what a question refers to mostly stands at the start of an answer."""

_SYSTEM = "You help to search a person's notebooks and code. Reply with what is asked for and nothing else."

_FOLLOW_UP = (
    "Here is a conversation.\n\n{turns}\nuser: {question}\n\n"
    "Write the user's last question again so that it can be understood without the conversation: put names in the "
    "place of words like it, that, they. Change nothing else."
)
_IDENTIFIERS = "Which names of functions, columns, or modules may stand in Python code that answers this?\n{question}"
_HYDE = (
    "Write one short paragraph, as it might stand in a notebook beside code, that answers this question. "
    "Invent what you do not know.\n{question}"
)
_MULTI_QUERY = "Write three other ways to ask this, each in other words, one a line.\n{question}"

_ONE_LINE = "root ::= [^\\n]+"
_NAMES = 'root ::= name ("\\n" name){1,5}\nname ::= [a-zA-Z_] [a-zA-Z0-9_.]{1,29}'
_THREE_LINES = 'root ::= line "\\n" line "\\n" line\nline ::= [A-Z] [^\\n]+'
_MOST_TOKENS = 96

# fmt: off
_PRONOUNS = frozenset((
    "he", "she", "it", "its", "they", "them", "their", "theirs", "his", "her", "hers", "this", "these", "former",
    "latter",
))
"""Words that stand for something said before."""
_MAYBE = frozenset((
    "that", "those", "one", "ones", "there", "then", "same", "such", "other", "another", "else", "instead", "before",
    "again", "also", "too",
))
# fmt: on
"""Words that may: at the end, or after a word that says nothing by itself (`for that`, but not `rows that`)."""
_BEGINS = re.compile(r"\s*(and|but|or|so|what about|how about|then)\b[^?]{0,40}\?*\s*$", re.I)
"""Questions that lean on the one before by their very shape."""
_FEW = 2
"""With so few words of its own a question is taken for a follow-up."""


@dataclass(frozen=True)
class Rewritten:
    """A question that stands by itself, and what is looked up beside it."""

    question: str
    queries: tuple[str, ...] = ()
    instead: str = ""
    """What is looked up in the question's place; the question itself where it is empty."""


class Rewriter(Protocol):
    """Puts a question in other words."""

    async def rewrite(self, question: str, history: Sequence[Said], engine: Engine, turn: Turn = ASKING) -> Rewritten:
        """Return the question rewritten, or as it is where that is best. Raises what the engine raises."""
        ...


class FollowUp:
    """Resolves what a follow-up question leaves out or says by pronouns (conversational query rewriting).

    The result is taken only where it keeps every word of the person's own that says something: a small model that
    changes what is asked does more harm than one that is not asked. It is what the model reads passages for; looked
    up is the conversation's last question together with this one, which finds more (benchmarks/README.md, "rerank").
    """

    async def rewrite(self, question: str, history: Sequence[Said], engine: Engine, turn: Turn = ASKING) -> Rewritten:
        """Return the question standing by itself, and what to look up for it."""
        if not history or not is_follow_up(question):
            return Rewritten(question)
        turns = "\n".join(f"{said.role}: {said.content[:_TURN_LONGEST]}" for said in history[-FOLLOW_UP_TURNS:])
        text = await _write(_FOLLOW_UP.format(turns=turns, question=question), _ONE_LINE, engine, turn)
        before = next((said.content for said in reversed(history) if said.role == "user"), "")
        instead = f"{before[:_TURN_LONGEST]} {question}".strip()
        return Rewritten(text if _keeps(question, text) else question, instead=instead)


class Identifiers:
    """Proposes names that the code may use, and looks them up together with the question."""

    async def rewrite(self, question: str, history: Sequence[Said], engine: Engine, turn: Turn = ASKING) -> Rewritten:
        """Return the question, and the question with up to six names."""
        names = await _write(_IDENTIFIERS.format(question=question), _NAMES, engine, turn)
        return Rewritten(question, (" ".join((question, *names.split())),))


class HyDE:
    """Looks up a passage that might answer the question (hypothetical document embeddings, arXiv:2212.10496)."""

    async def rewrite(self, question: str, history: Sequence[Said], engine: Engine, turn: Turn = ASKING) -> Rewritten:
        """Return the question, and the passage."""
        passage = await _write(_HYDE.format(question=question), _ONE_LINE, engine, turn)
        return Rewritten(question, (f"{question}\n{passage}",))


class MultiQuery:
    """Looks up the same question put in three other ways (RAG-Fusion, arXiv:2402.03367)."""

    async def rewrite(self, question: str, history: Sequence[Said], engine: Engine, turn: Turn = ASKING) -> Rewritten:
        """Return the question, and the other ways to put it."""
        lines = await _write(_MULTI_QUERY.format(question=question), _THREE_LINES, engine, turn)
        return Rewritten(question, tuple(line.strip() for line in lines.split("\n") if line.strip()))


REWRITERS: dict[Rewrite, Rewriter | None] = {
    "none": None,
    "follow-up": FollowUp(),
    "identifiers": Identifiers(),
    "hyde": HyDE(),
    "multi-query": MultiQuery(),
}
"""The ways of rewriting by name; None leaves the question as it is."""


@dataclass(frozen=True)
class Widened:
    """A Retriever that looks up other queries beside the one it is asked, and makes one list of all.

    `instead` is looked up in the place of that one, where it is not empty.
    """

    retriever: Retriever
    queries: tuple[str, ...]
    instead: str = ""

    async def retrieve(self, query: str, k: int) -> Retrieved:
        """Return at most `k` passages, best first."""
        queries = (self.instead or query, *self.queries)
        own, *others = await asyncio.gather(*(self.retriever.retrieve(one, k) for one in queries))
        return replace(own, hits=fused(own.hits, [other.hits for other in others])[:k])


def fused(own: Sequence[RootHit], others: Sequence[Sequence[RootHit]]) -> tuple[RootHit, ...]:
    """Return the hits of all lists by weighted reciprocal ranks, the question's own list counting `OWN` times.

    The scores are those of the own list in their order (of the first that found anything, where it did not), so that
    they can still be compared with another search's; where there are more hits than that, the others have its last.
    """
    first = next((found for found in (own, *others) if found), ())
    worth: dict[tuple[object, ...], float] = defaultdict(float)
    hits: dict[tuple[object, ...], RootHit] = {}
    for weight, found in ((OWN, own), *((1.0, other) for other in others)):
        for rank, hit in enumerate(found, 1):
            worth[_place(hit)] += weight / (RRF_K + rank)
            hits.setdefault(_place(hit), hit)
    order = sorted(hits, key=lambda place: -worth[place])
    scores = [first[min(n, len(first) - 1)].score for n in range(len(order))]
    return tuple(replace(hits[place], score=score) for place, score in zip(order, scores, strict=True))


def is_follow_up(question: str) -> bool:
    """Return whether a question may lean on what was said before it."""
    asked = [word.casefold() for word in words(question)]
    own = [word for word in asked if word not in STOP_WORDS]
    return len(own) <= _FEW or _BEGINS.match(question) is not None or _refers(asked)


def _refers(asked: Sequence[str]) -> bool:
    """Return whether one of the words, in lower case, stands for something said before."""
    if not _PRONOUNS.isdisjoint(asked) or asked[-1] in _MAYBE:
        return True
    return any(word in _MAYBE and before in STOP_WORDS for before, word in pairwise(asked))


def _keeps(question: str, text: str) -> bool:
    """Return whether `text` says every word of the question that says something."""
    left_out = STOP_WORDS | _PRONOUNS | _MAYBE
    own = file_words(word for word in words(question) if word.casefold() not in left_out)
    return bool(text) and own <= file_words(words(text))


def _place(hit: RootHit) -> tuple[object, ...]:
    passage = hit.passage
    return hit.root, passage.path, passage.cell_index, passage.start_line, passage.end_line


async def _write(wish: str, grammar: str, engine: Engine, turn: Turn) -> str:
    """Return what the model writes, bounded by the grammar, without white space around it."""
    prompt = Prompt((Message("system", _SYSTEM), Message("user", wish)))
    text = ""
    generation = engine.generate(prompt, Sampling(grammar=grammar), _MOST_TOKENS, (), turn)
    async with contextlib.aclosing(generation) as pieces:
        async for piece in pieces:
            text += piece.text if isinstance(piece, Token) else ""
    return text.strip()
