"""A metric: a function of what was measured, with what it says and which way is better."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

Came = TypeVar("Came")
Value = TypeVar("Value")

Better = Literal["higher", "lower", "neither"]
"""Which way a figure is better; with `neither` it is a cost: it is shown, and fails no gate."""


@dataclass(frozen=True)
class Metric(Generic[Came, Value]):
    """What a figure is: `of` takes what an item came to, and returns None where the metric does not apply to it."""

    of: Callable[[Came], Value | None]
    says: str
    better: Better = "higher"


def values(metrics: Mapping[str, Metric[Came, Value]], came: Came) -> dict[str, Value]:
    """Return each metric that applies, in the order of the dict."""
    told = {name: metric.of(came) for name, metric in metrics.items()}
    return {name: value for name, value in told.items() if value is not None}
