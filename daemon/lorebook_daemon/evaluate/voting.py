"""A judge that votes between two answers, shown in both orders: a vote that turns with the order is a tie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from lorebook_api.arena import Winner
from lorebook_daemon.engine.protocol import MEASURING, Message, Prompt
from lorebook_daemon.evaluate.metric import Metric, values
from lorebook_daemon.evaluate.store import Outcome
from lorebook_daemon.evaluate.task import RowTask, Subject

_ASK = (
    "Here is a question and two answers to it.\n\nQuestion: {question}\n\nAnswer A: {a}\n\nAnswer B: {b}\n\n"
    "Which answer is better: more helpful, more accurate, better put? Reply with A or B only."
)
_LETTERS = ("A", "B")


@dataclass(frozen=True)
class Vote:
    """What a judge said: the winner, whether both orders agree, and how often it took the answer shown first."""

    winner: Winner
    consistent: bool
    first_shown: int
    """Of two."""


METRICS: dict[str, Metric[Vote, float]] = {
    "won": Metric(
        lambda one: {"a": 1.0, "b": 0.0}.get(one.winner, 0.5),
        "share of votes for the first side, a tie half",
        "neither",
    ),
    "consistent": Metric(lambda one: float(one.consistent), "share of votes that did not turn with the order"),
    "first_shown": Metric(
        lambda one: one.first_shown / 2, "share of single votes for the answer shown first; 0.5 is fair", "neither"
    ),
}


@dataclass(frozen=True)
class Pair:
    """A question, and what both sides answered."""

    row: int
    question: str
    answers: tuple[str, str]


@dataclass(frozen=True)
class VoteTask(RowTask[Pair]):
    """Pairs of answers between which a judge votes, as a Task; what is kept as said is the winner."""

    stage: str = "voting"

    async def measure(self, place: int, subject: Subject) -> Outcome:
        """Return the vote."""
        pair = self.items[place]
        given = await vote(pair.question, pair.answers, subject)
        return Outcome(values(METRICS, given), given.winner)


def winner_of(outcome: Outcome) -> Winner:
    """Return the winner of a vote that was kept."""
    return cast(Winner, outcome.said)


async def vote(question: str, answers: tuple[str, str], subject: Subject) -> Vote:
    """Return the vote between two answers; equal ones are a tie without asking."""
    if answers[0].strip() == answers[1].strip():
        return Vote("tie", True, 1)
    straight = await _first_wins(question, answers, subject)
    turned = await _first_wins(question, answers[::-1], subject)
    shown = int(straight) + int(turned)
    if straight == turned:
        return Vote("tie", False, shown)
    return Vote("a" if straight else "b", True, shown)


async def _first_wins(question: str, answers: Sequence[str], subject: Subject) -> bool:
    """Return whether the letter of the answer that is shown first is the likelier."""
    asked = _ASK.format(question=question, a=answers[0], b=answers[1])
    prompt = Prompt((Message("user", asked),))
    a, b = await subject.engine.continuations(prompt, _LETTERS, subject.adapters, MEASURING)
    return a.logprob > b.logprob
