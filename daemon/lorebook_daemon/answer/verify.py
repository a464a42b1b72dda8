"""Checks each sentence of an answer against the passages: which one supports it, with which lines, and how well."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from lorebook_api.asking import Citation, Claim
from lorebook_daemon.answer.assemble import Sheet
from lorebook_daemon.answer.attribute import Lines, supporting_lines
from lorebook_daemon.answer.echoes import is_echo
from lorebook_daemon.answer.numbers import unbacked_numbers
from lorebook_daemon.answer.prompts import supported_prompt
from lorebook_daemon.answer.reading import probability
from lorebook_daemon.answer.sentences import Sentence, sentences
from lorebook_daemon.answer.truths import contradicts
from lorebook_daemon.engine.protocol import Engine, Turn

CITED = 0.5
"""Support from which a sentence gets its citation."""

UNBACKED = 0.2
"""The most support that a sentence can have whose number stands in no source, whose True or False is the opposite of
what the lines say, or that only says the question again: models overlook that."""

# Support is a probability of two things that say little alone: what the model thinks, and what words the lines share
# with the sentence. The constants are measured with the default model on samples/questions.jsonl: see
# benchmarks/README.md.
_MODEL_CENTRE, _MODEL_SCALE = -0.15, 0.5
_SHARED_CENTRE, _SHARED_WEIGHT = 0.4, 3.0


@dataclass(frozen=True)
class Verified:
    """An answer with marks behind the sentences that hold, its claims, its citations, and their mean support."""

    text: str
    claims: tuple[Claim, ...]
    citations: tuple[Citation, ...]
    grounded: float


@dataclass(frozen=True)
class _Backing:
    """The passage that supports a sentence best, the lines in it, and how well (0 to 1)."""

    sheet: Sheet
    lines: Lines
    support: float


async def verify(question: str, text: str, sheets: Sequence[Sheet], engine: Engine, turn: Turn) -> Verified:
    """Attribute every sentence of `text` to lines of the passages it was written from, and check it against them.

    The base alone checks, whichever adapters wrote.
    """
    found = sentences(text)
    prompts = [supported_prompt(question, s.text, sheet.text) for s in found for sheet in sheets]
    scores = await engine.judge(prompts, turn=turn)
    backings = [
        _best(question, sentence, sheets, scores[i * len(sheets) : (i + 1) * len(sheets)])
        for i, sentence in enumerate(found)
    ]
    return _marked(text, found, backings)


def _best(question: str, sentence: Sentence, sheets: Sequence[Sheet], scores: Sequence[float]) -> _Backing:
    missing = unbacked_numbers(sentence.text, question, *(sheet.text for sheet in sheets))
    empty = is_echo(sentence.text, question)
    backings = []
    for sheet, score in zip(sheets, scores, strict=True):
        lines = supporting_lines(sentence.text, sheet.hit.passage.text, question)
        leaning = (score - _MODEL_CENTRE) / _MODEL_SCALE
        support = probability(leaning + _SHARED_WEIGHT * (lines.overlap - _SHARED_CENTRE))
        quote = _lines_of(sheet.hit.passage.text, lines)
        doubtful = missing or empty or contradicts(sentence.text, quote)
        backings.append(_Backing(sheet, lines, min(support, UNBACKED) if doubtful else support))
    return max(backings, key=lambda backing: (backing.support, backing.lines.overlap))


def _lines_of(text: str, lines: Lines) -> str:
    return "\n".join(text.split("\n")[lines.start : lines.end + 1])


def _marked(text: str, found: Sequence[Sentence], backings: Sequence[_Backing]) -> Verified:
    numbers: dict[tuple[int, Lines], int] = {}
    best: dict[int, _Backing] = {}
    claims = []
    parts, at = [], 0
    for sentence, backing in zip(found, backings, strict=True):
        cited: tuple[int, ...] = ()
        if backing.support >= CITED:
            key = (id(backing.sheet), Lines(backing.lines.start, backing.lines.end, 0.0))
            n = numbers.setdefault(key, len(numbers) + 1)
            if n not in best or backing.support > best[n].support:
                best[n] = backing
            cited = (n,)
        claims.append(Claim(sentence.text, cited, round(backing.support, 3)))
        parts.append(_with_marks(text[at : sentence.end], cited))
        at = sentence.end
    parts.append(text[at:])
    citations = tuple(_citation(n, backing) for n, backing in sorted(best.items()))
    grounded = sum(claim.support for claim in claims) / len(claims) if claims else 0.0
    return Verified("".join(parts), tuple(claims), citations, round(grounded, 3))


def _with_marks(part: str, cited: Sequence[int]) -> str:
    """Return a part of the answer with its marks: behind a sentence, below a block of code."""
    before = "\n" if part.rstrip().endswith(("```", "~~~")) else " "
    return part + "".join(f"{before}[{n}]" for n in cited)


def _citation(n: int, backing: _Backing) -> Citation:
    passage = backing.sheet.hit.passage
    source = backing.sheet.hit.source()
    quote = _lines_of(passage.text, backing.lines)
    return Citation(
        n=n,
        path=passage.path,
        start_line=passage.start_line + backing.lines.start,
        end_line=passage.start_line + backing.lines.end,
        quote=quote,
        sha256=hashlib.sha256(quote.encode("utf-8", "surrogatepass")).hexdigest(),
        support=round(backing.support, 3),
        cell_id=source.cell_id,
        cell_index=source.cell_index,
        execution_count=source.execution_count,
        root=source.root,
    )
