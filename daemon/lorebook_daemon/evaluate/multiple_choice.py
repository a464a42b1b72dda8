"""Multiple choice, exact: the choice that the model finds most likely, by the sum of its tokens' log-probabilities."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lorebook_api.errors import BadRequest, TooLong
from lorebook_api.evaluation import Skipped
from lorebook_api.schema import AdapterUse
from lorebook_daemon.engine.protocol import Engine, Plain, Priority, Turn
from lorebook_daemon.evaluate.items import Choice, Item, Items
from lorebook_daemon.evaluate.pool import Report, pooled
from lorebook_daemon.evaluate.statistics import standard_error

TURN = Turn(Priority.eval)


@dataclass(frozen=True)
class Answered:
    """An item with what the model gave each choice: the sum of the log-probabilities of its tokens, in nats."""

    item: Item
    logprobs: tuple[float, ...]

    def chosen(self, lengths: Sequence[float] | None = None) -> int:
        """Return the likeliest choice, the first of equal ones; by log-probability ÷ length where lengths are given."""
        values = self.logprobs if lengths is None else [p / n for p, n in zip(self.logprobs, lengths, strict=True)]
        return max(range(len(values)), key=values.__getitem__)

    def right(self, lengths: Sequence[float] | None = None) -> float:
        """Return 1.0 where the likeliest choice is a right one, else 0.0."""
        return float(self.chosen(lengths) in self.item.right)

    @property
    def mass(self) -> float:
        """The share of the right choices in the probability of all: MC2 of TruthfulQA."""
        most = max(self.logprobs)
        weights = [math.exp(logprob - most) for logprob in self.logprobs]
        return sum(weights[right] for right in self.item.right) / sum(weights)


@dataclass(frozen=True)
class ChoiceFigures:
    """What a set came to. `acc` by sums, `acc_norm` per character, `acc_bytes` per byte, as lm-eval defines them.

    `stderr` is that of `acc`. Where the format is MC2, all of them are the mean share of probability of what is right.
    """

    acc: float
    acc_norm: float
    acc_bytes: float
    stderr: float
    n: int


async def answer_items(
    items: Items, engine: Engine, adapters: tuple[AdapterUse, ...], report: Report
) -> tuple[list[Answered], list[Skipped]]:
    """Ask the model every item; return the answers, and what it cannot be asked: longer than its context."""

    async def one(item: Item) -> Answered:
        logprobs = dict[Choice, float]()
        for context in dict.fromkeys(choice.context for choice in item.choices):
            asked = [choice for choice in item.choices if choice.context == context]
            before = context.rstrip(" ")  # as lm-eval parts them: spaces belong to what follows
            texts = [context[len(before) :] + choice.text for choice in asked]
            told = await engine.continuations(Plain(before), texts, adapters, TURN)
            logprobs.update(zip(asked, (continued.logprob for continued in told), strict=True))
        return Answered(item, tuple(logprobs[choice] for choice in item.choices))

    found = await pooled(one, items.items, "asking", report)
    answered = [one for one in found if isinstance(one, Answered)]
    places = {id(item): place for place, item in enumerate(items.items, 1)}
    skipped = [
        Skipped(places[id(item)], str(why))
        for item, why in zip(items.items, found, strict=True)
        if isinstance(why, BadRequest | TooLong)
    ]
    return answered, skipped


def figures(answered: Sequence[Answered], *, by_mass: bool = False) -> ChoiceFigures:
    """Return the figures of a set; raises BadRequest where nothing was answered."""
    if not answered:
        raise BadRequest("no item could be asked.", "Set a larger context: LOREBOOK_N_CTX.")
    if by_mass:
        masses = [one.mass for one in answered]
        mean = sum(masses) / len(masses)
        return ChoiceFigures(mean, mean, mean, standard_error(masses), len(masses))
    plain = [one.right() for one in answered]
    by_characters = [one.right([len(text) for text in one.item.lengths]) for one in answered]
    by_bytes = [one.right([len(text.encode()) for text in one.item.lengths]) for one in answered]
    means = [sum(values) / len(values) for values in (plain, by_characters, by_bytes)]
    return ChoiceFigures(means[0], means[1], means[2], standard_error(plain), len(plain))
