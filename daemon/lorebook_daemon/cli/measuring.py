"""What the commands of `lorebook eval` share: their options, how they follow a measurement, how they show a report."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from lorebook_api.asking import AdapterUse
from lorebook_api.evaluation import EvalReport, Figure, Skipped
from lorebook_api.evaluations import Measuring
from lorebook_api.indexing import Progress
from lorebook_api.typed import find_model, parse_adapter
from lorebook_daemon.cli.options import daemon_option, json_option
from lorebook_daemon.cli.reach import reach
from lorebook_daemon.cli.screen import Bars, Screen, printable

F = TypeVar("F", bound=Callable[..., Any])
R = TypeVar("R")

SHOWN = 5
"""Rows left out, and notices, of which a terminal gets no more."""

PROMISED = {"rag": ("context_relevance", "groundedness", "answer_relevance", "ndcg10", "latency_ms")}
"""Figures that stand in the JSON of a kind whatever the data holds."""


@dataclass(frozen=True)
class Options:
    """What every measurement takes: what is measured, how much of it, and how its report is shown."""

    model: str
    """A name, or an absolute path."""
    adapters: tuple[AdapterUse, ...]
    limit: int
    """No more rows than these; 0 is all."""
    as_json: bool
    start: bool
    """Whether a daemon is started where none runs."""


def file_argument(name: str) -> Callable[[F], F]:
    """Give a command the file that it measures with."""
    return click.argument(name, type=click.Path(path_type=Path))


def measured(command: F) -> F:
    """Give a command what every measurement takes; it is passed on together, as `options`."""

    @functools.wraps(command)
    def together(**given: Any) -> Any:
        model, adapters, limit = given.pop("model"), given.pop("adapters"), given.pop("limit")
        used = tuple(map(parse_adapter, adapters))
        options = Options(find_model(model), used, limit, given.pop("as_json"), given.pop("start"))
        return command(**given, options=options)

    for option in (
        click.option("--model", default="auto", metavar="NAME|PATH", help="The model; default: the one that answers."),
        click.option(
            "--adapter", "adapters", multiple=True, metavar="NAME[:SCALE]", help="LoRA adapter; may be repeated."
        ),
        click.option("--limit", type=click.IntRange(0), default=0, help="No more than so many rows; 0 is all."),
        json_option,
        daemon_option,
    )[::-1]:
        together = option(together)
    return cast(F, together)


def measure_and_show(request: Measuring, options: Options) -> None:
    """Have it measured, and show the report as a table or as one JSON document."""
    screen = Screen()
    report = followed(screen, reach(screen, options.start).measure(request), EvalReport)
    if options.as_json:
        click.echo(json.dumps(flat(report), indent=2))
    else:
        show_report(screen, report)


def followed(screen: Screen, events: Generator[Progress | R, None, None], kind: type[R]) -> R:
    """Show how far it is; return the report. Ctrl-C ends the measurement; the same command goes on with it."""
    with closing(events), Bars(screen) as bars:
        for event in events:
            if isinstance(event, kind):
                return event
            if isinstance(event, Progress):
                bars.show(event)
    raise AssertionError("a stream ends with its report")


def flat(report: EvalReport) -> dict[str, Any]:
    """Return a report as one JSON document: each figure by its name, the intervals beside them.

    A figure that a script may count on and that could not be measured is null.
    """
    told = asdict(report)
    figures = told.pop("figures")
    return {
        **dict.fromkeys(PROMISED.get(report.kind, ())),
        **{name: figure["value"] for name, figure in figures.items()},
        **told,
        "intervals": {name: [figure["low"], figure["high"]] for name, figure in figures.items()},
    }


def show_report(screen: Screen, report: EvalReport) -> None:
    """Show a report as a table."""
    show_figures(screen, report.figures)
    adapters = "".join(f" + {use.name}" for use in report.adapters)
    screen.write(f"{counted(report.n, 'item')}, {report.model}{adapters}, kept as {report.run}", style="dim")
    show_remarks(screen, report.skipped, report.notices)


def show_figures(screen: Screen, figures: Mapping[str, Figure]) -> None:
    """Show figures with their intervals and numbers of items."""
    rows = [
        (name, spelled(one.value), f"{spelled(one.low)} to {spelled(one.high)}", str(one.n))
        for name, one in figures.items()
    ]
    screen.table(("", "", "95%", "items"), rows)


def show_remarks(screen: Screen, skipped: Sequence[Skipped], notices: Sequence[str]) -> None:
    """Show what was left out, and what else is to be known; a few lines of each."""
    for lines in (left_out(skipped), list(notices)):
        show_lines(screen, lines)


def left_out(skipped: Sequence[Skipped]) -> list[str]:
    """Return a line for each row that was left out."""
    return [f"row {one.row} left out: {one.why}" for one in skipped]


def show_lines(screen: Screen, lines: Sequence[str]) -> None:
    """Show the first few lines, and how many there are beside them."""
    for line in lines[:SHOWN]:
        screen.write(printable(line), style="yellow")
    if len(lines) > SHOWN:
        screen.write(f"and {len(lines) - SHOWN} more: --json has all of them", style="yellow")


def counted(n: int, what: str) -> str:
    """Return how many there are of what, a noun."""
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def spelled(value: float) -> str:
    """Return a figure as people read it."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
