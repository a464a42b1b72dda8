"""Cuts an answer into claims: sentences, list items, blocks of code."""

from __future__ import annotations

import re
from dataclasses import dataclass

_FENCE = re.compile(r"^ {0,3}(```|~~~)")
_END = re.compile(
    r"""(?<=[.!?])(?<!\be\.g\.)(?<!\bi\.e\.)(?<!\bcf\.)(?<!\bvs\.)(?<!\betc\.)(?<!\bFig\.)(?<!\bNo\.)["')\]*`]*\s+(?=["'(\[*`]*[A-Z0-9`"'(])"""
)
_MARK = re.compile(r"\s+\[\d{1,2}\](?!\()|(?<=[.,;!?])\[\d{1,2}\](?!\()")


@dataclass(frozen=True)
class Sentence:
    """A stretch of the answer, `text[start:end]`, that is checked by itself."""

    text: str
    start: int
    end: int


def sentences(text: str) -> list[Sentence]:
    """Return the answer's sentences in order; white space between them belongs to none.

    A block of fenced code is one sentence; a line of a list is one or more; a lead-in that ends with a colon goes with
    what follows it. Headings and lines without a word say nothing and are left out.
    """
    spans: list[tuple[int, int]] = []
    for start, end in _blocks(text):
        block = text[start:end]
        if _FENCE.match(block):
            spans.append((start, end))
            continue
        at = 0
        for match in _END.finditer(block):
            spans.append((start + at, start + match.start()))
            at = match.end()
        spans.append((start + at, end))
    return _merged(text, spans)


def without_marks(text: str) -> str:
    """Return the text without the citation marks that a model wrote by itself, which are not to be trusted."""
    return _MARK.sub("", text)


def _blocks(text: str) -> list[tuple[int, int]]:
    """Return the spans of lines, with fenced code kept whole."""
    blocks: list[tuple[int, int]] = []
    fence = ""
    at = 0
    for line in text.splitlines(keepends=True):
        opening = _FENCE.match(line)
        if fence:
            blocks[-1] = (blocks[-1][0], at + len(line.rstrip()))
            fence = "" if opening and opening[1] == fence else fence
        else:
            blocks.append((at, at + len(line.rstrip())))
            fence = opening[1] if opening else ""
        at += len(line)
    return blocks


def _merged(text: str, spans: list[tuple[int, int]]) -> list[Sentence]:
    found: list[Sentence] = []
    lead = -1
    for start, end in spans:
        start += len(text[start:end]) - len(text[start:end].lstrip())
        body = text[start:end]
        if not re.search(r"\w", body) or re.match(r"#{1,6}\s", body):
            continue
        begin = lead if lead >= 0 else start
        lead = begin if body.endswith(":") else -1
        if lead < 0:
            found.append(Sentence(text[begin:end], begin, end))
    if lead >= 0:
        found.append(Sentence(text[lead:].rstrip(), lead, len(text.rstrip())))
    return found
