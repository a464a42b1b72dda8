"""Alarms on daily heads, with a dead band so that a level that hovers does not ring twice a day."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from enum import Enum

from wellwatch.levels import DailyLevel


class Side(Enum):
    """Which way is bad."""

    HIGH = "high"
    LOW = "low"


@dataclass(frozen=True)
class Rule:
    """Raise when a head has been beyond `raise_m` for `hold_days` days on end; clear once it is back past `clear_m`."""

    well: str
    side: Side
    raise_m: float
    clear_m: float
    hold_days: int
    tell: str

    def __post_init__(self) -> None:
        band = self.raise_m - self.clear_m
        if (band <= 0) == (self.side is Side.HIGH):
            raise ValueError(f"{self.well}: an alarm must clear on the safe side of where it is raised")

    def beyond(self, head_m: float) -> bool:
        """Whether a head is bad enough to raise."""
        return head_m >= self.raise_m if self.side is Side.HIGH else head_m <= self.raise_m

    def back(self, head_m: float) -> bool:
        """Whether a head is good enough to clear."""
        return head_m < self.clear_m if self.side is Side.HIGH else head_m > self.clear_m


@dataclass(frozen=True)
class Alarm:
    """One alarm from the day it was raised; `cleared` is None while it lasts, `worst_m` its most extreme head."""

    rule: Rule
    raised: date
    cleared: date | None
    worst_m: float


RULES: tuple[Rule, ...] = (
    # Cellars in Weir lane take water at 210.55; the residents asked for a day's notice.
    Rule("BH-01", Side.HIGH, 210.45, 210.30, hold_days=1, tell="fire brigade"),
    # The permit of the gravel works forbids pumping below 208.15.
    Rule("BH-04", Side.LOW, 208.19, 208.40, hold_days=2, tell="gravel works"),
    # The school's heat pump draws air below 209.30.
    Rule("BH-03", Side.LOW, 209.42, 209.50, hold_days=5, tell="caretaker"),
)


def evaluate(rule: Rule, levels: Sequence[DailyLevel]) -> list[Alarm]:
    """Walk through one well's days in order and return the alarms of a rule, the last one perhaps still open.

    Filled days keep an alarm alive but never raise one: nobody is woken by an interpolation.
    """
    worse = max if rule.side is Side.HIGH else min
    alarms: list[Alarm] = []
    streak: list[DailyLevel] = []
    ringing = False
    for level in levels:
        if ringing:
            last = alarms[-1]
            cleared = level.day if rule.back(level.head_m) else None
            alarms[-1] = Alarm(rule, last.raised, cleared, worse(last.worst_m, level.head_m))
            ringing = cleared is None
            continue
        streak = [*streak, level] if rule.beyond(level.head_m) and not level.filled else []
        if len(streak) >= rule.hold_days:
            alarms.append(Alarm(rule, level.day, None, worse(one.head_m for one in streak)))
            streak, ringing = [], True
    return alarms


def evaluate_all(rules: Iterable[Rule], levels: Sequence[DailyLevel]) -> list[Alarm]:
    """Return the alarms of all rules, oldest first."""
    found = [alarm for rule in rules for alarm in evaluate(rule, [one for one in levels if one.well == rule.well])]
    return sorted(found, key=lambda alarm: (alarm.raised, alarm.rule.well))
