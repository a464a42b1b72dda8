"""Multiple choice, exact: the choice that the model finds most likely, by the sum of its tokens' log-probabilities."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lorebook_daemon.engine.protocol import MEASURING, Plain
from lorebook_daemon.evaluate.items import Choice, Item, Items
from lorebook_daemon.evaluate.metric import Metric, values
from lorebook_daemon.evaluate.store import Outcome
from lorebook_daemon.evaluate.task import Subject


@dataclass(frozen=True)
class Answered:
    """An item with what the model gave each choice: the sum of the log-probabilities of its tokens, in nats."""

    item: Item
    logprobs: tuple[float, ...]
    by_mass: bool = False
    """As in `Items`."""

    def chosen(self, lengths: Sequence[float] | None = None) -> int:
        """Return the likeliest choice, the first of equal ones; by log-probability ÷ length where lengths are given."""
        told = self.logprobs if lengths is None else [p / n for p, n in zip(self.logprobs, lengths, strict=True)]
        return max(range(len(told)), key=told.__getitem__)

    def right(self, lengths: Sequence[float] | None = None) -> float:
        """Return 1.0 where the likeliest choice is a right one, else 0.0; where mass counts, the mass."""
        return self.mass if self.by_mass else float(self.chosen(lengths) in self.item.right)

    @property
    def mass(self) -> float:
        """The share of the right choices in the probability of all: MC2 of TruthfulQA."""
        most = max(self.logprobs)
        weights = [math.exp(logprob - most) for logprob in self.logprobs]
        return sum(weights[right] for right in self.item.right) / sum(weights)


METRICS: dict[str, Metric[Answered, float]] = {
    "acc": Metric(lambda one: one.right(), "share of questions whose likeliest choice is right"),
    "acc_norm": Metric(
        lambda one: one.right([len(text) for text in one.item.lengths]), "the same, by log-probability a character"
    ),
    "acc_bytes": Metric(
        lambda one: one.right([len(text.encode()) for text in one.item.lengths]), "the same, by log-probability a byte"
    ),
}
"""As lm-eval defines them."""


@dataclass(frozen=True)
class ChoiceTask:
    """A multiple-choice set as a Task."""

    items: Items
    stage: str = "asking"

    @property
    def ids(self) -> tuple[str, ...]:
        """The questions' own ids, or the numbers of their rows."""
        return tuple(item.id for item in self.items.items)

    def row(self, place: int) -> int:
        """Return where a question stands in its file."""
        return self.items.items[place].row

    async def measure(self, place: int, subject: Subject) -> Outcome:
        """Return whether the likeliest choice is a right one."""
        item = self.items.items[place]
        answered = Answered(item, await _logprobs(item, subject), self.items.by_mass)
        chosen = "" if self.items.by_mass else item.choices[answered.chosen()].text.strip()
        return Outcome(values(METRICS, answered), chosen)


async def _logprobs(item: Item, subject: Subject) -> tuple[float, ...]:
    """Ask the model how likely it finds each choice; raises TooLong for a question longer than its context."""
    logprobs = dict[Choice, float]()
    for context in dict.fromkeys(choice.context for choice in item.choices):
        asked = [choice for choice in item.choices if choice.context == context]
        before = context.rstrip(" ")  # as lm-eval parts them: spaces belong to what follows
        texts = [context[len(before) :] + choice.text for choice in asked]
        told = await subject.engine.continuations(Plain(before), texts, subject.adapters, MEASURING)
        logprobs.update(zip(asked, (continued.logprob for continued in told), strict=True))
    return tuple(logprobs[choice] for choice in item.choices)
