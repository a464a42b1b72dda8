"""A question set out of a person's own files: the model asks what a passage answers, and answers it; both are checked.

What the model does not find stated in the passage again, or does not find supported by it, is not proposed.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from lorebook_api.asking import Sampling
from lorebook_api.errors import BadRequest
from lorebook_api.evaluation import ProposedQuestion
from lorebook_api.indexing import Progress
from lorebook_daemon.answer.ask import CLEAR
from lorebook_daemon.answer.numbers import unbacked_numbers
from lorebook_daemon.answer.prompts import SYSTEM, answer_prompt, passage_text, stated_prompt, supported_prompt
from lorebook_daemon.answer.retrieved import RootHit
from lorebook_daemon.engine.protocol import MEASURING, Message, Prompt
from lorebook_daemon.evaluate.diversity import said
from lorebook_daemon.evaluate.pool import Report
from lorebook_daemon.evaluate.task import Subject

_ASK = (
    "\nWrite two short questions that can be answered from the source above, one a line. Each asks for one fact that "
    "stands there, such as a name, a number or a reason, and says what it is about."
)
_GRAMMAR = 'root ::= line "\\n" line\nline ::= [A-Z] [^\\n?]+ "?"'
_QUESTION_TOKENS = 64
_STATED = CLEAR
"""logit(Yes) − logit(No) from which a question counts as answered by its passage: what an ask takes for clear."""
_SHORTEST = 80
"""Characters of a passage that may hold a fact worth asking for."""
_ANSWER_TOKENS = 48
_TRIES = 6
"""Passages that are read for each question that is wanted: a small model finds fault with most of what it wrote."""
_POINTING = ("the source", "the passage", "the text above", "the code above", "this code", "this file", "this function")


@dataclass(frozen=True)
class Proposed:
    """The questions, and how many passages were read for them."""

    questions: tuple[ProposedQuestion, ...]
    passages: int


def spread_out(hits: Sequence[RootHit], seed: int) -> list[RootHit]:
    """Return the passages in an order by chance in which the files take turns."""
    chance = random.Random(seed)
    shuffled = list(hits)
    chance.shuffle(shuffled)
    taken: dict[str, int] = {}
    turns = []
    for hit in shuffled:
        taken[hit.passage.path] = taken.get(hit.passage.path, 0) + 1
        turns.append((taken[hit.passage.path], hit))
    return [hit for _, hit in sorted(turns, key=lambda turn: turn[0])]


async def propose(hits: Sequence[RootHit], count: int, seed: int, subject: Subject, report: Report) -> Proposed:
    """Return up to `count` questions, one a passage; raises BadRequest where there is no passage to ask about."""
    worth = [hit for hit in hits if len(hit.passage.text.strip()) >= _SHORTEST]
    if not worth:
        raise BadRequest(
            "there is nothing here to ask about.", "Name a folder with notebooks, code or texts: --root DIR"
        )
    found: list[ProposedQuestion] = []
    read = 0
    for hit in spread_out(worth, seed)[: _TRIES * count]:
        if len(found) == count:
            break
        report(Progress("writing questions", len(found), count))
        read += 1
        one = await _proposed(hit, f"p{len(found) + 1:03d}", subject)
        if one is not None and one.question not in {other.question for other in found}:
            found.append(one)
    return Proposed(tuple(found), read)


async def _proposed(hit: RootHit, named: str, subject: Subject) -> ProposedQuestion | None:
    text = passage_text(hit)
    asking = Prompt((Message("system", SYSTEM), Message("user", _ASK)), (text,))
    written = await said(asking, Sampling(grammar=_GRAMMAR), _QUESTION_TOKENS, subject)
    lines = dict.fromkeys(line.strip() for line in written.split("\n") if line.strip().endswith("?"))
    questions = [one for one in lines if not any(words in one.lower() for words in _POINTING)]
    if not questions:
        return None
    stated = await subject.engine.judge([stated_prompt(one, text) for one in questions], subject.adapters, MEASURING)
    best = max(range(len(questions)), key=stated.__getitem__)
    if stated[best] < _STATED:
        return None
    answer = (await said(answer_prompt(questions[best], (text,)), Sampling(), _ANSWER_TOKENS, subject)).strip()
    (supported,) = await subject.engine.judge(
        [supported_prompt(questions[best], answer, text)], subject.adapters, MEASURING
    )
    if not answer or supported < 0 or unbacked_numbers(answer, questions[best], text):
        return None
    source = hit.source()
    return ProposedQuestion(
        named, questions[best], True, (answer,), source.path, source.start_line, source.end_line, source.cell_index
    )
