"""Whether an adapter becomes active: what was kept back is said better, and what the model knew it still knows."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lorebook_daemon.teach.split import FEW

_FILE = Path(__file__).parent / "general.jsonl"
_LETTERS = "ABCD"
_DRAWS = 2000
_TOO_WIDE = 0.025
"""Share of the bootstrap's draws on each side of a 95% interval."""


@dataclass(frozen=True)
class Choice:
    """A question of general knowledge, or about a short text that it brings, with four answers."""

    question: str
    answer: int

    @property
    def letter(self) -> str:
        """The right answer's letter."""
        return _LETTERS[self.answer]


@dataclass(frozen=True)
class Verdict:
    """Whether an adapter may act by default, and why not."""

    active: bool
    reason: str


def general_check() -> list[Choice]:
    """Return the questions of the general check: multiple choice, a third of them about a text."""
    rows = [json.loads(line) for line in _FILE.read_text(encoding="utf-8").splitlines()]
    return [Choice(_asked(row["question"], row["choices"]), row["answer"]) for row in rows]


def _asked(question: str, choices: Sequence[str]) -> str:
    options = "\n".join(f"{letter}. {choice}" for letter, choice in zip(_LETTERS, choices, strict=True))
    return f"{question}\n{options}\nAnswer with the letter alone."


def judge(
    held_before: float | None, held_after: float | None, right_before: Sequence[bool], right_after: Sequence[bool]
) -> Verdict:
    """Return the verdict from the held-out losses and from which general questions were answered right."""
    if held_before is None or held_after is None:
        return Verdict(active=False, reason=f"Nothing was kept back to measure with: that takes {FEW} cells or rows.")
    if not held_after < held_before:
        told = f"The held-out loss did not fall ({held_before:.3f} before, {held_after:.3f} after)."
        return Verdict(active=False, reason=told)
    least, most = interval(right_before, right_after) if right_after else (0.0, 0.0)
    if most < 0:
        before, after = sum(right_before), sum(right_after)
        told = f"The general check fell from {before} to {after} of {len(right_after)}"
        return Verdict(active=False, reason=f"{told} (95% interval of the change {least:+.2f} to {most:+.2f}).")
    return Verdict(active=True, reason="")


def interval(before: Sequence[bool], after: Sequence[bool], seed: int = 0) -> tuple[float, float]:
    """Return the 95% interval of the change in the share of right answers, by a paired bootstrap (Efron 1979)."""
    changes = [int(late) - int(early) for early, late in zip(before, after, strict=True)]
    rng = random.Random(seed)
    means = sorted(sum(rng.choices(changes, k=len(changes))) / len(changes) for _ in range(_DRAWS))
    return means[int(_DRAWS * _TOO_WIDE)], means[int(_DRAWS * (1 - _TOO_WIDE)) - 1]
