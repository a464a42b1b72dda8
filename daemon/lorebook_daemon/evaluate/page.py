"""Measurements as one page of HTML: tables, and plots as SVG, with nothing that is fetched from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment

from lorebook_api.evaluation import Comparison, EvalRun, Figure
from lorebook_daemon.evaluate.metrics import says

_TEMPLATE = Path(__file__).with_name("page.html")
_WIDTH = 240.0
_MARGIN = 8.0


@dataclass(frozen=True)
class Mark:
    """A figure as it is drawn: pixels from the left of the value and of the two ends of its interval."""

    run: str
    figure: Figure
    at: float
    low: float
    high: float


@dataclass(frozen=True)
class Plot:
    """A metric of several runs on one axis, whose ends are `least` and `most`."""

    name: str
    says: str
    least: float
    most: float
    marks: tuple[Mark, ...]
    zero: float | None = None
    """Where 0 is drawn, of differences."""


def page(runs: Sequence[EvalRun], comparisons: Sequence[Comparison]) -> str:
    """Return the page about these runs, the first compared with each of the others."""
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    differences = [(one, _differences(one)) for one in comparisons]
    configurations = {run.id: json.dumps({**run.config, "versions": run.versions}, indent=2) for run in runs}
    return template.render(
        runs=runs, plots=_plots(runs), differences=differences, configurations=configurations, width=_WIDTH
    )


def _plots(runs: Sequence[EvalRun]) -> list[Plot]:
    """Return a plot for each metric of the runs."""
    names = dict.fromkeys(name for run in runs for name in run.figures)
    return [_plot(name, [(run.id, run.figures[name]) for run in runs if name in run.figures]) for name in names]


def _differences(comparison: Comparison) -> list[Plot]:
    return [_plot(one.name, [(one.verdict, one.difference)], around_zero=True) for one in comparison.figures]


def _plot(name: str, figures: Sequence[tuple[str, Figure]], around_zero: bool = False) -> Plot:
    least = min(figure.low for _, figure in figures)
    most = max(figure.high for _, figure in figures)
    if around_zero:
        most = max(abs(least), abs(most))
        least = -most
    elif least >= 0 and most <= 1:
        least, most = 0.0, 1.0
    if least == most:
        least, most = least - 1, most + 1

    def place(value: float) -> float:
        return round(_MARGIN + (value - least) / (most - least) * (_WIDTH - 2 * _MARGIN), 1)

    marks = tuple(
        Mark(run, figure, place(figure.value), place(figure.low), place(figure.high)) for run, figure in figures
    )
    return Plot(name, says(name), least, most, marks, place(0.0) if around_zero else None)
