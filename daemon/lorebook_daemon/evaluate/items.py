"""What a multiple-choice set asks: questions with their choices, as the model is to read them."""

from __future__ import annotations

from dataclasses import dataclass

from lorebook_api.evaluation import Skipped


@dataclass(frozen=True)
class Choice:
    """What the model is to go on with, and after what; only the former's probability counts."""

    context: str
    text: str


@dataclass(frozen=True)
class Item:
    """A question: its choices, and which of them are right (0-based, one at least).

    `lengths` are what the sums of log-probabilities are divided by for `acc_norm` and `acc_bytes`: characters and
    bytes of each choice as it stands in the data, without the space before it, as lm-eval counts them.
    """

    id: str
    choices: tuple[Choice, ...]
    right: tuple[int, ...]
    lengths: tuple[str, ...]
    row: int
    """Where it stands in its file, from 1."""


@dataclass(frozen=True)
class Items:
    """A set as it was read: the items, what was left out, and how many rows serve as examples before each question."""

    items: tuple[Item, ...]
    skipped: tuple[Skipped, ...]
    shots: int = 0
    by_mass: bool = False
    """Whether what counts is the share of probability of all right choices, not the likeliest choice."""
