"""The model reads each passage, says whether it states the answer, and so decides what the answer is written from."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from lorebook_api.indexing import Progress
from lorebook_daemon.answer.assemble import Sheet
from lorebook_daemon.answer.prompts import stated_prompt
from lorebook_daemon.engine.protocol import Engine, Turn

Emit = Callable[[str, Any], Awaitable[None]]
"""Takes an event's name (`progress`, `sources`, `token`) and its body."""

# Measured with the default model, Qwen2.5-Coder-1.5B, on samples/questions.jsonl: see benchmarks/README.md.
SURE = 1.4  # from this score on no further passage is read
_FEWEST = 2  # passages that are read in any case
_MOST = 3  # passages that an answer is written from: a small model finds a fact best in the one that states it
_MARGIN = 0.3  # and none of them may score so much less than the best
_FURTHER = 0.16  # times ln(rank): what a place further down the hits costs, 0.11 the second, 0.37 the tenth


@dataclass(frozen=True)
class Read:
    """A passage that was read, and how surely it states the answer.

    `score` is logit(Yes) - logit(No), less what its place among the hits costs. The scores of retrieval have no say:
    their shape is its own affair, and what they say of one root may be said otherwise of the next.
    """

    sheet: Sheet
    score: float


async def read(question: str, sheets: Sequence[Sheet], engine: Engine, emit: Emit, turn: Turn) -> list[Read]:
    """Have the model read the passages in turn, until one surely states the answer; return those read, best first.

    The base alone reads, whichever adapters write: one that was taught five facts says no to passages that answer.
    """
    done: list[Read] = []
    for i, sheet in enumerate(sheets):
        if i >= _FEWEST and max(one.score for one in done) >= SURE:
            break
        await emit("progress", Progress("reading passages", i, len(sheets)))
        (leaning,) = await engine.judge([stated_prompt(question, sheet.text)], turn=turn)
        done.append(Read(sheet, leaning - _FURTHER * math.log(i + 1)))
    return sorted(done, key=lambda one: -one.score)


def chosen(done: Sequence[Read]) -> tuple[Sheet, ...]:
    """Return the passages to write the answer from; the best stands last, nearest to the question."""
    near = [one.sheet for one in done[:_MOST] if one.score >= done[0].score - _MARGIN]
    return tuple(reversed(near))


def probability(logit: float) -> float:
    """Return the probability that a logit stands for."""
    return 1 / (1 + math.exp(-max(-50.0, min(50.0, logit))))
