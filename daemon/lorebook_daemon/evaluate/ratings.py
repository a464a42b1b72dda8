"""Ratings out of votes: Elo in the order of the votes, Bradley–Terry over all of them, with and without style.

The constants are FastChat's (K 4, scale 400, start 1000; Zheng et al., NeurIPS 2023), the style control is LMArena's:
what length, headings, lists and bold text explain is fitted beside the sides and left out of their strength.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from lorebook_api.arena import Standing, Standings
from lorebook_api.evaluation import Figure
from lorebook_daemon.evaluate.arenastore import Fought
from lorebook_daemon.evaluate.statistics import Numbers

K, SCALE, BASE, START = 4.0, 400.0, 10.0, 1000.0
ROUNDS = 500
"""Draws of the bootstrap."""
FEWEST = 30
"""Votes from which style is fitted: four more numbers than sides."""
LEAST = 10
"""Votes on a side below which nothing is told of it: drawing few votes anew brings the same again and again."""
_PRIOR = 0.1
"""How strongly strengths are drawn to their mean, in votes: a side that always won has a strength all the same."""

TRAITS: dict[str, Callable[[str], int]] = {
    "length": lambda text: len(text.split()),
    "headings": lambda text: len(re.findall(r"^#{1,6} ", text, re.MULTILINE)),
    "lists": lambda text: len(re.findall(r"^\s*(?:[-*+]|\d+[.)]) ", text, re.MULTILINE)),
    "bold": lambda text: len(re.findall(r"\*\*[^*\n]+\*\*", text)),
}
"""What style is made of: counts in an answer."""


@dataclass(frozen=True)
class _Design:
    """The votes as numbers: +1 and −1 where a side stood first and second, traits, and the share won by the first."""

    names: tuple[str, ...]
    sides: Numbers
    traits: Numbers
    won: Numbers


def standings(fought: Sequence[Fought]) -> Standings:
    """Return the ratings of all sides, the strongest first; without votes there are none."""
    if not fought:
        return Standings((), 0, False, ("There is no vote yet. Begin: lorebook eval arena play",))
    design = _design(fought)
    strengths = _strengths(design)
    styled = _strengths(design, style=True) if len(fought) >= FEWEST and design.traits.any() else None
    ratings = elo(fought)
    sides = [
        Standing(name, ratings[name], strengths[name], styled[name] if styled else None, *_counts(name, fought))
        for name in design.names
    ]
    sides.sort(key=lambda side: -side.strength.value)
    enough, notices = _enough(sides, len(fought))
    return Standings(tuple(sides), len(fought), enough, notices, _style(design) if styled else {})


def elo(fought: Sequence[Fought]) -> dict[str, float]:
    """Return the Elo ratings after all votes in their order."""
    ratings = {name: START for one in fought for name in one.sides}
    for one in fought:
        a, b = one.sides
        expected = 1 / (1 + BASE ** ((ratings[b] - ratings[a]) / SCALE))
        change = K * (_share(one) - expected)
        ratings[a] += change
        ratings[b] -= change
    return ratings


def _share(one: Fought) -> float:
    return {"a": 1.0, "b": 0.0}.get(one.winner, 0.5)


def _counts(name: str, fought: Sequence[Fought]) -> tuple[int, int, int]:
    """Return wins, losses and ties of a side."""
    shares = [_share(one) if one.sides[0] == name else 1 - _share(one) for one in fought if name in one.sides]
    return shares.count(1.0), shares.count(0.0), shares.count(0.5)


def _design(fought: Sequence[Fought]) -> _Design:
    names = tuple(dict.fromkeys(name for one in fought for name in one.sides))
    sides = np.zeros((len(fought), len(names)))
    for row, one in enumerate(fought):
        sides[row, names.index(one.sides[0])] += 1
        sides[row, names.index(one.sides[1])] -= 1
    traits = np.array(
        [[_apart(count(one.answers[0]), count(one.answers[1])) for count in TRAITS.values()] for one in fought]
    )
    deviation = traits.std(axis=0)
    return _Design(
        names, sides, traits / np.where(deviation > 0, deviation, 1), np.array([_share(one) for one in fought])
    )


def _apart(a: int, b: int) -> float:
    return (a - b) / (a + b) if a + b else 0.0


def _strengths(design: _Design, style: bool = False) -> dict[str, Figure]:
    """Return Bradley–Terry strengths as ratings with mean START, and 95% intervals by drawing votes anew."""
    matrix = np.hstack([design.sides, design.traits]) if style else design.sides
    weights = _fit(matrix, design.won)
    fitted = _ratings(weights, len(design.names))
    chance = np.random.default_rng(20)
    rows = len(design.won)
    drawn = []
    for _ in range(ROUNDS):
        picked = chance.integers(0, rows, rows)
        drawn.append(_ratings(_fit(matrix[picked], design.won[picked], weights), len(design.names)))
    low, high = np.percentile(drawn, (2.5, 97.5), axis=0)
    return {
        name: Figure(float(fitted[n]), float(low[n]), float(high[n]), int(np.abs(design.sides[:, n]).sum()))
        for n, name in enumerate(design.names)
    }


def _ratings(weights: Numbers, sides: int) -> Numbers:
    strengths = weights[:sides]
    rated: Numbers = START + (strengths - strengths.mean()) * SCALE / np.log(BASE)
    return rated


def _style(design: _Design) -> dict[str, float]:
    weights = _fit(np.hstack([design.sides, design.traits]), design.won)[len(design.names) :]
    return dict(zip(TRAITS, (weights * SCALE / np.log(BASE)).round(1).tolist(), strict=True))


def _fit(matrix: Numbers, won: Numbers, start: Numbers | None = None) -> Numbers:
    """Return the weights of a logistic regression, by Newton's method; a tie is half a victory of each."""
    weights = np.zeros(matrix.shape[1]) if start is None else start
    for _ in range(50):
        chance = 1 / (1 + np.exp(-np.clip(matrix @ weights, -30, 30)))
        gradient = matrix.T @ (won - chance) - _PRIOR * weights
        curvature = (matrix * (chance * (1 - chance))[:, None]).T @ matrix + _PRIOR * np.eye(len(weights))
        step = np.linalg.solve(curvature, gradient)
        weights = weights + step
        if np.abs(step).max() < 1e-6:
            break
    return weights


def _enough(sides: Sequence[Standing], votes: int) -> tuple[bool, tuple[str, ...]]:
    """Return whether each side can be told from the next one, and what to say where it cannot."""
    notices = []
    for better, worse in pairwise(sides):
        few = min(better.strength.n, worse.strength.n) < LEAST
        if few or better.strength.low <= worse.strength.high:
            apart = max(better.strength.value - worse.strength.value, 10.0)
            chance = 1 / (1 + BASE ** (-apart / SCALE))
            wanted = int(np.ceil((1.96 / (2 * (chance - 0.5))) ** 2))
            more = (
                f"about {wanted} between them are needed if it stays so" if wanted > votes else "a few more will tell"
            )
            notices.append(f"{votes} votes do not tell {better.name} from {worse.name}; {more}.")
    return not notices, tuple(notices)
