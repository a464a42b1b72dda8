"""The bodies on the wire about evaluation: what is measured, and what it came to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lorebook_api.schema import AdapterUse

McFormat = Literal["mmlu", "hellaswag", "winogrande", "arc", "truthfulqa", "truthfulqa-mc2", "csv"]
"""The shapes of multiple-choice sets; `truthfulqa` is MC1."""


@dataclass(frozen=True)
class McRequest:
    """A multiple-choice set: its absolute path, and how it is read; `limit` is of questions, 0 is all."""

    path: str
    format: McFormat
    shots: int = 0
    limit: int = 0
    model: str = "auto"
    adapters: tuple[AdapterUse, ...] = ()


@dataclass(frozen=True)
class JudgeRequest:
    """Responses to be judged: the absolute path of the rows, and the fields that hold the parts.

    The question is in `instruction` (and `input`), `question` or `prompt`. Without `reference` the judge sees no right
    answer.
    """

    path: str
    response: str
    reference: str = ""
    rubric: str = ""
    limit: int = 0
    model: str = "auto"
    adapters: tuple[AdapterUse, ...] = ()


@dataclass(frozen=True)
class Skipped:
    """A row that was left out (1-based), and why."""

    row: int
    why: str


@dataclass(frozen=True)
class McReport:
    """What a multiple-choice set came to: shares from 0 to 1, the standard error of `acc`, and how many were asked."""

    acc: float
    acc_norm: float
    acc_bytes: float
    stderr: float
    n: int
    format: str
    shots: int
    model: str
    adapters: tuple[AdapterUse, ...]
    skipped: tuple[Skipped, ...]


@dataclass(frozen=True)
class JudgeReport:
    """What a judge said: a score from 0 to 100 for each row, their mean, and how many are missing (none)."""

    mean: float
    stderr: float
    n: int
    missing: int
    scores: tuple[float, ...]
    model: str
    adapters: tuple[AdapterUse, ...]
    skipped: tuple[Skipped, ...]
