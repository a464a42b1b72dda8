"""`lorebook index`: build or update what questions are answered from."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import click

from lorebook_api.client import Client
from lorebook_api.indexing import FileChange, IndexReport, IndexRequest, Progress, RootNotice
from lorebook_api.preference import preferences
from lorebook_api.retrieval import Filters, Rerank, SearchRequest
from lorebook_api.typed import find_roots
from lorebook_daemon.cli.explain import show_steps
from lorebook_daemon.cli.options import (
    daemon_option,
    examples,
    filter_options,
    json_option,
    k_option,
    rerank_option,
)
from lorebook_daemon.cli.reach import reach
from lorebook_daemon.cli.screen import Bars, Screen, printable

SKIPPED_SHOWN = 20
CHANGES_SHOWN = 10

Instead = Literal["pause", "resume", "forget", "forget feedback", "preferences"]


@click.command(
    short_help="Build or update the index of a folder.",
    epilog=examples(
        "lorebook index",
        "lorebook index ~/taxi ~/notes",
        "lorebook index --watch",
        "lorebook index --pause",
        'lorebook index --explain "which cell drops the null rows?"',
    ),
)
@click.argument("roots", nargs=-1, metavar="[DIR]...")
@click.option("--watch", is_flag=True, help="Follow each change as it happens, until interrupted.")
@click.option("--full", is_flag=True, help="Start over: read every file again.")
@click.option("--pause", "instead", flag_value="pause", help="Hold all indexing, until --resume or the daemon's end.")
@click.option("--resume", "instead", flag_value="resume", help="Let it go on.")
@click.option("--forget", "instead", flag_value="forget", help="Drop the index of each DIR; the files stay.")
@click.option(
    "--forget-feedback", "instead", flag_value="forget feedback", help="Forget what was opened, rated and put right."
)
@click.option(
    "--preferences", "instead", flag_value="preferences", help="Print what was rated, for `teach --method dpo --data`."
)
@click.option("--explain", "query", metavar="QUERY", help="Show why what QUERY finds stands where it does.")
@k_option(6)
@rerank_option("none")
@filter_options
@json_option
@daemon_option
def index(
    roots: tuple[str, ...],
    watch: bool,
    full: bool,
    instead: Instead | None,
    query: str | None,
    k: int,
    rerank: Rerank,
    filters: Filters,
    as_json: bool,
    start: bool,
) -> None:
    """Read the files below each DIR (default: the current folder) into its index.

    Only what changed is read again. .gitignore and .lorebookignore hold. Asking does this by itself;
    use it to have it done before the first question. The options of a search go with --explain.
    """
    if sum((watch, full, instead is not None, query is not None)) > 1:
        raise click.UsageError("--watch, --full, --pause, --resume, --forget and --explain go one at a time.")
    if watch and as_json:
        raise click.UsageError("--json prints one document, --watch never ends: leave one out.")
    if query is None and filters != Filters():
        raise click.UsageError("an index is of a whole folder: --path and its like go with --explain QUERY.")
    screen = Screen()
    if query is not None:
        request = SearchRequest(query, find_roots(roots), k, rerank=rerank, filters=filters, explain=True)
        _explain(screen, request, as_json, start)
    elif instead is not None:
        _do_instead(instead, screen, roots, as_json, start)
    elif watch:
        _watch(screen, reach(screen, start), IndexRequest(find_roots(roots), watch=True))
    else:
        _update(screen, IndexRequest(find_roots(roots), full), as_json, start)


def _update(screen: Screen, request: IndexRequest, as_json: bool, start: bool) -> None:
    reports = _run(screen, reach(screen, start), request)
    if as_json:
        click.echo(json.dumps({"roots": [asdict(report) for report in reports]}, indent=2))
        return
    for report in reports:
        _show(screen, report)


def _explain(screen: Screen, request: SearchRequest, as_json: bool, start: bool) -> None:
    if not request.query.strip():
        raise click.BadParameter("the query is empty.", param_hint="--explain")
    response = reach(screen, start).search(request)
    if as_json:
        click.echo(json.dumps(asdict(response), indent=2))
        return
    for notice in response.notices:
        screen.say(notice)
    show_steps(screen, response, request.roots)


def _do_instead(instead: Instead, screen: Screen, roots: tuple[str, ...], as_json: bool, start: bool) -> None:
    client = reach(screen, start and instead not in ("pause", "resume"))
    if instead == "preferences":
        _show_preferences(screen, client, as_json)
        return
    told: dict[str, object] = {}
    if instead == "forget":
        if not roots:
            raise click.UsageError("name the folder whose index is to be dropped: lorebook index --forget DIR")
        # Not `find_roots`: it may be the very reason that the folder is gone.
        told["forgotten"] = [str(Path(root).expanduser().resolve()) for root in roots]
        for root in [str(Path(root).expanduser().resolve()) for root in roots]:
            client.forget_root(root)
            screen.say(f"dropped the index of {root}")
    elif instead == "forget feedback":
        told["forgotten"] = client.forget_feedback()
        screen.say(f"forgot {told['forgotten']} ratings, corrections and opened citations")
    elif instead == "pause":
        client.pause_index()
        screen.say("indexing is paused; it goes on with: lorebook index --resume")
        told["paused"] = True
    else:
        client.resume_index()
        screen.say("indexing goes on")
        told["paused"] = False
    if as_json:
        click.echo(json.dumps(told))


def _show_preferences(screen: Screen, client: Client, as_json: bool) -> None:
    """Write a pair of answers a line, as data files for teaching have them."""
    rows = [asdict(pair) for pair in preferences(client.feedback().feedback)]
    if as_json:
        click.echo(json.dumps({"preferences": rows}, indent=2))
        return
    for row in rows:
        click.echo(json.dumps(row))
    if not rows:
        screen.say("nothing was put right or compared yet: thumbs on answers to one question, or a corrected answer")


def _run(screen: Screen, client: Client, request: IndexRequest) -> list[IndexReport]:
    reports = []
    with Bars(screen) as bars, closing(client.index(request)) as events:
        for event in events:
            if isinstance(event, Progress):
                bars.show(event)
            elif isinstance(event, IndexReport):
                reports.append(event)
    return reports


def _watch(screen: Screen, client: Client, request: IndexRequest) -> None:
    """Show what each change did, until interrupted."""
    shown: set[str] = set()
    with Bars(screen) as bars, closing(client.index(request)) as events:
        for event in events:
            if isinstance(event, Progress):
                bars.show(event)
                continue
            bars.hide()
            if isinstance(event, RootNotice):
                screen.say(event.text)
            elif event.root in shown:
                _show_changes(screen, event)
            else:
                _show(screen, event)
                shown.add(event.root)
                if len(shown) == len(request.roots):
                    screen.say("watching; Ctrl-C ends it")


def _show_changes(screen: Screen, report: IndexReport) -> None:
    for change in report.changes[:CHANGES_SHOWN]:
        screen.write(printable(f"  {_changed(change)}"))
    moved = sum(change.how == "moved" for change in report.changes)  # each is one added and one removed
    more = report.added + report.changed + report.removed - moved - len(report.changes[:CHANGES_SHOWN])
    if more > 0:
        screen.write(f"  … {more} more", style="dim")
    for skipped in report.skipped[:SKIPPED_SHOWN]:
        screen.write(printable(f"  skipped {skipped.path}: {skipped.why}"), style="dim")
    screen.say(f"{report.files} files, {report.passages} passages, {report.seconds:.2f} s")


def _changed(change: FileChange) -> str:
    return f"moved {change.was} to {change.path}" if change.how == "moved" else f"{change.how} {change.path}"


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
