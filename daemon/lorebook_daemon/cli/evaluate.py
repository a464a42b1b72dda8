"""`lorebook eval`: how good a model is, and an adapter."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar, get_args

import click

from lorebook_api.evaluation import JudgeReport, JudgeRequest, McFormat, McReport, McRequest, Skipped
from lorebook_api.schema import Progress
from lorebook_api.typed import find_model, parse_adapter
from lorebook_daemon.cli.options import daemon_option, debug_option, examples, json_option
from lorebook_daemon.cli.reach import reach
from lorebook_daemon.cli.screen import Bars, Screen, printable

F = TypeVar("F", bound=Callable[..., Any])
R = TypeVar("R")

SKIPPED_SHOWN = 5


def _measured(command: F) -> F:
    """Give a command what every evaluation takes."""
    for option in (
        click.argument("data", type=click.Path(path_type=Path)),
        click.option("--model", default="auto", metavar="NAME|PATH", help="The model; default: the one that answers."),
        click.option(
            "--adapter", "adapters", multiple=True, metavar="NAME[:SCALE]", help="LoRA adapter; may be repeated."
        ),
        click.option("--limit", type=click.IntRange(0), default=0, help="No more than so many rows; 0 is all."),
        json_option,
        daemon_option,
    )[::-1]:
        command = option(command)
    return command


@click.group(
    "eval",
    short_help="Measure a model or an adapter.",
    epilog=examples(
        "lorebook eval mc questions.csv --format csv",
        "lorebook eval mc arc.jsonl --format arc --shots 5 --adapter lab-notes",
        'lorebook eval judge answers.json --response "model 1 response" --reference output',
    ),
)
@debug_option
def evaluate() -> None:
    """Figures to be trusted: exact likelihoods, no prose parsed, a standard error beside each mean."""


@evaluate.command(
    short_help="Multiple choice, by exact likelihood.",
    epilog=examples("lorebook eval mc data/test/anatomy_test.csv --format mmlu --shots 5"),
)
@_measured
@click.option(
    "--format",
    "shape",
    type=click.Choice(get_args(McFormat)),
    default="csv",
    show_default=True,
    help="The set's shape.",
)
@click.option(
    "--shots", type=click.IntRange(0, 64), default=0, show_default=True, help="Answered questions before each."
)
def mc(
    data: Path,
    model: str,
    adapters: tuple[str, ...],
    limit: int,
    as_json: bool,
    start: bool,
    shape: McFormat,
    shots: int,
) -> None:
    """Ask the multiple-choice questions in the file DATA.

    The answer is the choice that the model finds most likely: acc by the sum of its tokens, acc_norm per character,
    acc_bytes per byte, as lm-eval defines them.
    """
    used = tuple(parse_adapter(adapter) for adapter in adapters)
    request = McRequest(str(data.absolute()), shape, shots, limit, find_model(model), used)
    screen = Screen()
    report = _followed(screen, reach(screen, start).evaluate_choices(request), McReport)
    if as_json:
        click.echo(json.dumps(asdict(report), indent=2))
        return
    rows = [
        ("acc", report.acc, f"± {report.stderr:.3f}"),
        ("acc_norm", report.acc_norm, ""),
        ("acc_bytes", report.acc_bytes, ""),
    ]
    screen.table(("", "", ""), [(name, f"{value:.3f}", error) for name, value, error in rows])
    screen.write(f"{report.n} questions, {report.shots} examples before each, {report.model}", style="dim")
    _show_skipped(screen, report.skipped)


@evaluate.command(
    short_help="Score responses from 0 to 100.",
    epilog=examples('lorebook eval judge answers.json --response "model 1 response" --reference output'),
)
@_measured
@click.option("--response", required=True, metavar="FIELD", help="The field that holds the response.")
@click.option(
    "--reference", default="", metavar="FIELD", help="The field that holds the right answer, where there is one."
)
@click.option("--rubric", default="", metavar="TEXT", help="What is to count, in a sentence.")
def judge(
    data: Path,
    model: str,
    adapters: tuple[str, ...],
    limit: int,
    as_json: bool,
    start: bool,
    response: str,
    reference: str,
    rubric: str,
) -> None:
    """Have the model score the responses in the file DATA; every row gets a number.

    The score is the expected value over the numbers that the model might say, so it is never missing.
    """
    used = tuple(parse_adapter(adapter) for adapter in adapters)
    request = JudgeRequest(str(data.absolute()), response, reference, rubric, limit, find_model(model), used)
    screen = Screen()
    report = _followed(screen, reach(screen, start).judge(request), JudgeReport)
    if as_json:
        click.echo(json.dumps(asdict(report), indent=2))
        return
    screen.write(f"mean {report.mean:.1f} ± {report.stderr:.1f}")
    screen.write(f"{report.n} responses, {report.missing} without a score, {report.model}", style="dim")
    _show_skipped(screen, report.skipped)


def _followed(screen: Screen, events: Generator[Progress | R, None, None], kind: type[R]) -> R:
    """Show how far it is; return the report."""
    with closing(events), Bars(screen) as bars:
        for event in events:
            if isinstance(event, kind):
                return event
            if isinstance(event, Progress):
                bars.show(event)
    raise AssertionError("a stream ends with its report")


def _show_skipped(screen: Screen, skipped: tuple[Skipped, ...]) -> None:
    for one in skipped[:SKIPPED_SHOWN]:
        screen.write(f"row {one.row} left out: {printable(one.why)}", style="yellow")
    if len(skipped) > SKIPPED_SHOWN:
        screen.write(f"and {len(skipped) - SKIPPED_SHOWN} more", style="yellow")
