"""`lorebook index`: build or update what questions are answered from."""

from __future__ import annotations

import json
import time
from contextlib import closing
from dataclasses import asdict

import click

from lorebook_api.client import Client
from lorebook_api.schema import IndexReport, IndexRequest, Progress
from lorebook_api.typed import find_roots
from lorebook_daemon.cli.options import daemon_option, examples, json_option
from lorebook_daemon.cli.reach import reach
from lorebook_daemon.cli.screen import Bars, Screen, printable

WATCH_SECONDS = 5.0
SKIPPED_SHOWN = 20


@click.command(
    short_help="Build or update the index of a folder.",
    epilog=examples("lorebook index", "lorebook index ~/taxi ~/notes", "lorebook index --watch"),
)
@click.argument("roots", nargs=-1, metavar="[DIR]...")
@click.option("--watch", is_flag=True, help="Go on looking for changes until interrupted.")
@click.option("--full", is_flag=True, help="Start over: read every file again.")
@json_option
@daemon_option
def index(roots: tuple[str, ...], watch: bool, full: bool, as_json: bool, start: bool) -> None:
    """Read the files below each DIR (default: the current folder) into its index.

    Only what changed is read again. .gitignore and .lorebookignore hold. Asking does this by itself;
    use it to have it done before the first question.
    """
    if watch and as_json:
        raise click.UsageError("--json prints one document, --watch never ends: leave one out.")
    request = IndexRequest(find_roots(roots), full)
    screen = Screen()
    client = reach(screen, start)
    reports = _run(screen, client, request)
    if as_json:
        click.echo(json.dumps({"roots": [asdict(report) for report in reports]}, indent=2))
        return
    for report in reports:
        _show(screen, report)
    if watch:
        _watch(screen, client, request)


def _run(screen: Screen, client: Client, request: IndexRequest) -> list[IndexReport]:
    reports = []
    with Bars(screen) as bars, closing(client.index(request)) as events:
        for event in events:
            if isinstance(event, Progress):
                bars.show(event)
            else:
                reports.append(event)
    return reports


def _watch(screen: Screen, client: Client, request: IndexRequest) -> None:
    """Look again and again; only what changed is shown."""
    screen.say(f"watching, looks every {WATCH_SECONDS:.0f} s; Ctrl-C ends it")
    again = IndexRequest(request.roots)
    while True:
        time.sleep(WATCH_SECONDS)
        with closing(client.index(again)) as events:
            reports = [event for event in events if isinstance(event, IndexReport)]
        for report in reports:
            if report.added or report.changed or report.removed:
                _show(screen, report)


def _show(screen: Screen, report: IndexReport) -> None:
    screen.write(printable(report.root), style="bold")
    screen.write(
        f"  {report.files} files, {report.passages} passages: {report.added} added, {report.changed} changed, "
        f"{report.removed} removed, {len(report.skipped)} skipped, {report.seconds:.1f} s"
    )
    for notice in report.notices:
        screen.say(notice)
    if not report.passages:
        screen.write("  nothing here can be asked about: is it the right folder?", style="yellow")
    for skipped in report.skipped[:SKIPPED_SHOWN]:
        screen.write(printable(f"  skipped {skipped.path}: {skipped.why}"), style="dim")
    if len(report.skipped) > SKIPPED_SHOWN:
        screen.write(f"  … {len(report.skipped) - SKIPPED_SHOWN} more skipped; --json lists all", style="dim")
