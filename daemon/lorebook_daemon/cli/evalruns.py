"""`lorebook eval list`, `show`, `compare`, `report`, `rm`: the measurements that are kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import click

from lorebook_api.errors import StorageFailed
from lorebook_api.evaluation import Comparison, EvalRun, Overlap
from lorebook_daemon.cli.measuring import show_figures, show_remarks, spelled
from lorebook_daemon.cli.options import daemon_option, examples, json_option
from lorebook_daemon.cli.reach import reach
from lorebook_daemon.cli.screen import Screen, printable

F = TypeVar("F", bound=Callable[..., Any])


def _run_argument(command: F) -> F:
    return click.argument("run", metavar="RUN")(command)


@click.command("list", short_help="List the measurements.", epilog=examples("lorebook eval list"))
@json_option
@daemon_option
def list_runs(as_json: bool, start: bool) -> None:
    """List all measurements that are kept, the latest first."""
    screen = Screen()
    known = reach(screen, start).evaluations()
    if as_json:
        click.echo(json.dumps({"runs": [asdict(run) for run in known]}, indent=2))
    elif not known:
        screen.write("Nothing was measured yet. Begin: lorebook eval mc DATA", style="dim")
    else:
        head = ("run", "what", "data", "model", "items", "when", "")
        screen.table(head, map(_line, known))


def _line(run: EvalRun) -> tuple[str, ...]:
    figures = ", ".join(f"{name} {spelled(figure.value)}" for name, figure in list(run.figures.items())[:3])
    told = figures + "".join(map(_mark, run.overlaps)) if run.state == "done" else "unfinished"
    return (run.id, run.kind, run.name, _subject(run), str(run.n), run.created[:16].replace("T", " "), told)


def _mark(overlap: Overlap) -> str:
    """Return what has to be known of a figure: that it measures memory, or may."""
    if overlap.shared is None:
        return f" (not known whether {overlap.adapter} was taught this)"
    return f" ({overlap.shared} of {overlap.of} taught to {overlap.adapter})" if overlap.shared else ""


def _subject(run: EvalRun) -> str:
    adapters = "".join(f" + {use['name']}" for use in run.config.get("adapters", ()))
    return f"{run.config.get('model', '')}{adapters}"


@click.command(short_help="Show a measurement.", epilog=examples("lorebook eval show last"))
@_run_argument
@click.option("--items", is_flag=True, help="What each item came to, as well.")
@json_option
@daemon_option
def show(run: str, items: bool, as_json: bool, start: bool) -> None:
    """Show the measurement RUN: an id, the start of one, or `last`."""
    screen = Screen()
    client = reach(screen, start)
    found = client.evaluation(run)
    each = client.evaluation_items(found.id) if items else []
    if as_json:
        click.echo(json.dumps({**asdict(found), **({"items": each} if items else {})}, indent=2))
        return
    screen.write(printable(f"{found.id} {found.kind} {found.name}, {_subject(found)}, {found.created}"), style="bold")
    show_figures(screen, found.figures)
    for name, value in (*found.config.items(), *found.versions.items()):
        screen.write(printable(f"{name}: {value}"), style="dim")
    for one in each:
        scores = ", ".join(f"{name} {spelled(value)}" for name, value in one["scores"].items())
        screen.write(printable(f"{one['id']}: {scores} {one['note']}".rstrip()))
    show_remarks(screen, found.skipped, found.notices)


@click.command(
    short_help="Compare two measurements.",
    epilog=examples("lorebook eval compare 3f2a91c0 last", "lorebook eval compare 3f2a91c0 last --gate"),
)
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.option(
    "--gate", is_flag=True, help="Exit with 1 where a figure of B is worse beyond its interval, or B lacks some of A."
)
@json_option
@daemon_option
def compare(first: str, second: str, gate: bool, as_json: bool, start: bool) -> None:
    """Compare the measurements A and B item by item: what differs beyond chance. Costs do not fail a gate."""
    screen = Screen()
    found = reach(screen, start).compare_evaluations(first, second)
    if as_json:
        click.echo(json.dumps({**asdict(found), "worse": found.worse, "failures": found.failures}, indent=2))
    else:
        _show_comparison(screen, found)
    if gate and found.failures:
        for line in found.failures:
            click.echo(f"lorebook: {printable(line)}", err=True)
        raise click.exceptions.Exit(1)


def _show_comparison(screen: Screen, found: Comparison) -> None:
    rows = [
        (
            one.name,
            spelled(one.first),
            spelled(one.second),
            f"{one.difference.value:+.3g}",
            f"{one.difference.low:+.3g} to {one.difference.high:+.3g}",
            one.verdict,
        )
        for one in found.figures
    ]
    screen.table(("", found.first.id, found.second.id, "B − A", "95%", ""), rows)
    for line in found.changed:
        screen.write(printable(line), style="dim")
    show_remarks(screen, (), found.notices)


@click.command(
    short_help="Write measurements as one page.",
    epilog=examples("lorebook eval report 3f2a91c0 last --out report.html"),
)
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), default=Path("report.html"), show_default=True)
@daemon_option
def report(runs: tuple[str, ...], out: Path, start: bool) -> None:
    """Write the measurements RUN... as one file of HTML with plots, which needs no network; compared with the first."""
    screen = Screen()
    page = reach(screen, start).evaluation_page(runs)
    try:
        out.write_text(page, encoding="utf-8")
    except OSError as error:
        raise StorageFailed(f"{out} cannot be written ({error.strerror}).", "Name another file.") from error
    screen.write(f"wrote {out}")


@click.command(short_help="Forget a measurement.", epilog=examples("lorebook eval rm 3f2a91c0"))
@_run_argument
@daemon_option
def rm(run: str, start: bool) -> None:
    """Forget the measurement RUN, an id or the start of one."""
    screen = Screen()
    reach(screen, start).delete_evaluation(run)
    screen.write(f"forgot {printable(run)}")


RUN_COMMANDS = (list_runs, show, compare, report, rm)
