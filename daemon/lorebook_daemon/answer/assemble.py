"""Fits passages into the prompt's budget; what does not fit is listed, never dropped in silence."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from lorebook_api.asking import Context, Cut
from lorebook_api.errors import TooLong
from lorebook_daemon.answer.context.condensing import gaps, matching_lines, shortened
from lorebook_daemon.answer.context.steps import CONDENSING, ON, complete, grow
from lorebook_daemon.answer.planted import planted_lines
from lorebook_daemon.answer.prompts import answer_prompt, passage_text
from lorebook_daemon.answer.retrieved import Beside, RootHit, nothing_beside
from lorebook_daemon.engine.protocol import Engine

LEAST_ROOM = 64
"""Tokens; in less room no passage is shortened to fit."""
_SAFE = 0.85
"""Of the characters that the room would hold at the passage's own tokens a character, so many are filled."""


@dataclass(frozen=True)
class Sheet:
    """A passage that goes to the model: where it came from, its text as the model reads it, and its tokens."""

    hit: RootHit
    text: str
    tokens: int
    left_out: tuple[Cut, ...] = ()
    """Its lines that there was no room for."""


@dataclass(frozen=True)
class Assembled:
    """The passages that fit, best first, and the account of the budget."""

    sheets: tuple[Sheet, ...]
    rest: int
    budget: int
    cut: tuple[Cut, ...]

    def context(self, used: Sequence[Sheet], read: Sequence[Sheet]) -> Context:
        """Return the account for an answer that was written from `used`, after the model had read `read`."""
        beside = "holds less of the answer than others" if used else "does not state the answer"
        left = tuple(
            _cut(sheet.hit, sheet.tokens, beside if sheet in read else "not read: the answer was found before")
            for sheet in self.sheets
            if sheet not in used
        )
        return Context(self.budget, self.rest + sum(sheet.tokens for sheet in used), (*self.cut, *left))


async def assemble(
    question: str,
    hits: Sequence[RootHit],
    engine: Engine,
    budget: int,
    max_tokens: int,
    beside: Beside = nothing_beside,
    on: Collection[str] = ON,
) -> Assembled:
    """Return the passages that fit `budget` tokens beside the question, and leave room for `max_tokens` of answer.

    The steps that are `on` are those of `context.steps`; what they add is added only where all of it fits. Of the
    first passage that does not fit the lines are taken that share words with the question. Raises TooLong where
    the question does not fit by itself.
    """
    budget = _budget(engine, budget, max_tokens)
    rest, whole = await _measured(question, await asyncio.to_thread(grow, hits, beside, on), engine)
    if rest > budget:
        raise TooLong(
            f"the question takes {rest} tokens, and the prompt may take {max(budget, 0)}.",
            "Shorten it, lower --max-tokens, or set LOREBOOK_CONTEXT_BUDGET and LOREBOOK_N_CTX higher.",
        )
    if rest + sum(sheet.tokens for sheet in whole) > budget and [sheet.hit for sheet in whole] != list(hits):
        rest, whole = await _measured(question, hits, engine)
    sheets, cut = await _fitted(question, whole, engine if CONDENSING in on else None, rest, budget)
    return Assembled(sheets, rest, budget, cut)


async def completed(
    question: str, used: Sequence[Sheet], budget: int, engine: Engine, beside: Beside, on: Collection[str] = ON
) -> tuple[Sheet, ...]:
    """Return the passages that an answer is written from with what COMPLETIONS add, where all of it fits `budget`."""
    hits = [sheet.hit for sheet in used]
    whole = await asyncio.to_thread(complete, hits, beside, on)
    new = [hit for hit in whole if hit not in hits]
    if not new:
        return tuple(used)
    rest, sheets = await _measured(question, new, engine)
    known = {id(sheet.hit): sheet for sheet in (*used, *sheets)}
    order = tuple(known[id(hit)] for hit in whole)
    return order if rest + sum(sheet.tokens for sheet in order) <= budget else tuple(used)


async def _measured(question: str, hits: Sequence[RootHit], engine: Engine) -> tuple[int, list[Sheet]]:
    """Return the tokens of the prompt without its passages, and each passage with its own."""
    texts = [passage_text(hit) for hit in hits]
    (size,) = await engine.count([answer_prompt(question, tuple(texts))])
    sized = zip(hits, texts, size.passages, strict=True)
    return size.rest, [Sheet(hit, text, tokens) for hit, text, tokens in sized]


async def _fitted(
    question: str, whole: Sequence[Sheet], engine: Engine | None, rest: int, budget: int
) -> tuple[tuple[Sheet, ...], tuple[Cut, ...]]:
    """Return the passages that there is room for, and what of them and of the others is not read.

    Without an engine to count their lines' tokens none is shortened.
    """
    sheets: list[Sheet] = []
    cut: list[Cut] = []
    left = budget - rest
    for one in whole:
        sheet: Sheet | None = one
        if one.tokens > left:
            sheet = await _shortened(question, one, left, engine) if engine else None
        if sheet is None:
            cut.append(_cut(one.hit, one.tokens, f"over the budget of {budget} tokens"))
            continue
        sheets.append(sheet)
        left -= sheet.tokens
        cut += [*_withheld(one.hit), *sheet.left_out]
    return tuple(sheets), tuple(cut)


def _budget(engine: Engine, budget: int, max_tokens: int) -> int:
    """Return how many tokens the prompt may take; raises TooLong where the answer leaves none."""
    if max_tokens >= engine.n_ctx:
        raise TooLong(
            f"an answer of {max_tokens} tokens leaves no room in a context of {engine.n_ctx}.",
            "Ask for a shorter one (--max-tokens), or set LOREBOOK_N_CTX higher.",
        )
    return min(budget, engine.n_ctx - max_tokens)


async def _shortened(question: str, whole: Sheet, left: int, engine: Engine) -> Sheet | None:
    """Return the lines of a passage that matter, in `left` tokens; None where that is too little, or none matters."""
    if left < LEAST_ROOM:
        return None
    passage = whole.hit.passage
    kept = matching_lines(question, passage.text, int(len(whole.text) * left / whole.tokens * _SAFE) - _around(whole))
    if not kept:
        return None
    text = passage_text(replace(whole.hit, passage=replace(passage, text=shortened(passage.text, kept))))
    (size,) = await engine.count([answer_prompt(question, (text,))])
    (tokens,) = size.passages
    if tokens > left:
        return None
    place = _cut(whole.hit, 0, "shortened to the lines that share words with the question")
    start = passage.start_line
    missing = gaps(passage.text.count("\n") + 1, kept)
    left_out = tuple(replace(place, start_line=start + first, end_line=start + last) for first, last in missing)
    return Sheet(whole.hit, text, tokens, left_out)


def _around(sheet: Sheet) -> int:
    """Return how many characters the model reads beside the passage's own: its label, its context."""
    return max(0, len(sheet.text) - len(sheet.hit.passage.text))


def _withheld(hit: RootHit) -> list[Cut]:
    """Return the lines of a passage that are not shown to the model, since they speak to it."""
    passage = hit.passage
    whole = _cut(hit, 0, "it speaks to a language model")
    lines = [passage.start_line + i for i in planted_lines(passage.text)]
    return [replace(whole, start_line=line, end_line=line) for line in lines]


def _cut(hit: RootHit, tokens: int, why: str) -> Cut:
    source = hit.source()
    return Cut(
        path=source.path,
        start_line=source.start_line,
        end_line=source.end_line,
        tokens=tokens,
        why=why,
        cell_id=source.cell_id,
        cell_index=source.cell_index,
        execution_count=source.execution_count,
        root=source.root,
    )
