"""Fits passages into the prompt's budget; what does not fit is listed, never dropped in silence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lorebook_api.errors import TooLong
from lorebook_api.schema import Context, Cut
from lorebook_daemon.answer.planted import planted_lines
from lorebook_daemon.answer.prompts import answer_prompt, passage_text
from lorebook_daemon.answer.retrieved import RootHit
from lorebook_daemon.engine.protocol import Engine


@dataclass(frozen=True)
class Sheet:
    """A passage that goes to the model: where it came from, its text as the model reads it, and its tokens."""

    hit: RootHit
    text: str
    tokens: int


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


async def assemble(question: str, hits: Sequence[RootHit], engine: Engine, budget: int, max_tokens: int) -> Assembled:
    """Return the passages that fit `budget` tokens beside the question, and leave room for `max_tokens` of answer.

    Raises TooLong where the question does not fit by itself.
    """
    if max_tokens >= engine.n_ctx:
        raise TooLong(
            f"an answer of {max_tokens} tokens leaves no room in a context of {engine.n_ctx}.",
            "Ask for a shorter one (--max-tokens), or set LOREBOOK_N_CTX higher.",
        )
    budget = min(budget, engine.n_ctx - max_tokens)
    texts = [passage_text(hit) for hit in hits]
    (size,) = await engine.count([answer_prompt(question, tuple(texts))])
    if size.rest > budget:
        raise TooLong(
            f"the question takes {size.rest} tokens, and the prompt may take {max(budget, 0)}.",
            "Shorten it, lower --max-tokens, or set LOREBOOK_CONTEXT_BUDGET and LOREBOOK_N_CTX higher.",
        )
    sheets: list[Sheet] = []
    cut: list[Cut] = []
    left = budget - size.rest
    for hit, text, tokens in zip(hits, texts, size.passages, strict=True):
        if tokens <= left:
            sheets.append(Sheet(hit, text, tokens))
            left -= tokens
            cut += _withheld(hit)
        else:
            cut.append(_cut(hit, tokens, f"over the budget of {budget} tokens"))
    return Assembled(tuple(sheets), size.rest, budget, tuple(cut))


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
