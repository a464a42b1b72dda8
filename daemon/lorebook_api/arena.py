"""The bodies on the wire about the arena: two answers without names, votes between them, and what all votes say."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from lorebook_api.asking import AdapterUse
from lorebook_api.evaluation import Figure, Skipped
from lorebook_api.retrieval import Rerank, Rewrite

Winner = Literal["a", "b", "tie", "both bad"]


@dataclass(frozen=True)
class Side:
    """A configuration that takes part in the arena; `system` is told to the model where it is not empty.

    With `roots` (absolute paths) it answers from what these folders hold, as an ask does; then it takes no `system`,
    and what follows is as in a RagRequest.
    """

    name: str
    model: str = "auto"
    adapters: tuple[AdapterUse, ...] = ()
    system: str = ""
    temperature: float = 0.0
    roots: tuple[str, ...] = ()
    k: int = 6
    rerank: Rerank = "none"
    rewrite: Rewrite = "none"
    context_steps: str = "default"


@dataclass(frozen=True)
class BattleRequest:
    """Body of `POST /api/eval/arena/battle`: a question, and two sides that are to answer it."""

    question: str
    sides: tuple[Side, Side]
    max_tokens: int = 320


@dataclass(frozen=True)
class Battle:
    """Two answers by nobody knows whom: the daemon shuffled the sides, and tells them once there is a vote."""

    id: str
    question: str
    a: str
    b: str


@dataclass(frozen=True)
class VoteRequest:
    """Body of `POST /api/eval/arena/vote`."""

    battle: str
    winner: Winner


@dataclass(frozen=True)
class Revealed:
    """Who the sides of a battle were."""

    battle: str
    a: str
    b: str
    winner: Winner


@dataclass(frozen=True)
class ArenaJudgeRequest:
    """Questions that two sides answer, and between whose answers the model votes, in both orders."""

    path: str
    sides: tuple[Side, Side]
    model: str = "auto"
    """The judge."""
    max_tokens: int = 320
    limit: int = 0


@dataclass(frozen=True)
class ArenaJudged:
    """What a judge's votes came to; `inconsistent` are those that turned with the order, and count as ties."""

    votes: int
    inconsistent: int
    first_shown: float
    """Share of its single votes that went to the answer shown first; 0.5 is fair."""
    skipped: tuple[Skipped, ...] = ()
    run: str = ""
    """Under which id the store keeps this run."""
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Standing:
    """A side's rating: Elo, Bradley–Terry with its 95% interval, and the latter without what style explains."""

    name: str
    elo: float
    strength: Figure
    styled: Figure | None
    """None where there are too few votes to tell style from substance."""
    wins: int
    losses: int
    ties: int


@dataclass(frozen=True)
class Standings:
    """All sides, the strongest first."""

    sides: tuple[Standing, ...]
    votes: int
    enough: bool
    notices: tuple[str, ...]
    style: dict[str, float] = field(default_factory=dict)
    """How much each trait of style helps to win, in points of rating a standard deviation."""


@dataclass(frozen=True)
class Preference:
    """A vote as a pair to learn from: a row of `lorebook teach --method dpo`."""

    instruction: str
    chosen: str
    rejected: str
