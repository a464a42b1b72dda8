"""`lorebook add`: web pages, by their addresses."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import asdict

import click

from lorebook_api.client import Client
from lorebook_api.errors import Unusable
from lorebook_api.home import Home, find_home
from lorebook_api.indexing import IndexReport, IndexRequest, Progress
from lorebook_daemon.cli.daemonpackages import daemon_packages
from lorebook_daemon.cli.options import daemon_option, examples, json_option
from lorebook_daemon.cli.reach import reach
from lorebook_daemon.cli.screen import Bars, Screen, printable
from lorebook_daemon.settings import Settings, load_settings


@click.command(
    short_help="Fetch a web page once, keep it and index it.",
    epilog=examples("lorebook add https://docs.python.org/3/library/csv.html"),
)
@click.argument("urls", nargs=-1, required=True, metavar="URL...")
@json_option
@daemon_option
def add(urls: tuple[str, ...], as_json: bool, start: bool) -> None:
    """Fetch each URL, keep it in lorebook's own folder and index that.

    Only what you name is fetched, once: no links, pictures or scripts. Naming it again fetches it anew.
    """
    home = find_home().make()
    screen = Screen()
    folder, kept = _kept(urls, home, load_settings(home), screen)
    report = _indexed(screen, reach(screen, start), folder)
    _refuse_unread(report, kept)
    if as_json:
        click.echo(json.dumps({"root": report.root, "files": kept, "report": asdict(report)}, indent=2))
    else:
        for url, path in zip(urls, kept, strict=True):
            screen.write(printable(f"{url} is kept as {path}"))
        screen.write(printable(f'Ask about it: lorebook ask "…" --root {report.root}'))


def _kept(urls: tuple[str, ...], home: Home, settings: Settings, screen: Screen) -> tuple[str, list[str]]:
    """Fetch the pages; return the folder that they are kept in, and their paths in it."""
    with daemon_packages():
        from lorebook_daemon.index import webpages  # it reads pages with the daemon's own packages, which are an extra
    folder = webpages.pages_folder(home)
    kept = []
    for url in urls:
        screen.say(f"fetching {url}")
        file = webpages.keep_page(url, folder, most_mb=settings.max_file_mb, offline=settings.offline)
        kept.append(file.relative_to(folder).as_posix())
    return str(folder), kept


def _indexed(screen: Screen, client: Client, folder: str) -> IndexReport:
    with Bars(screen) as bars, closing(client.index(IndexRequest((folder,)))) as events:
        for event in events:
            if isinstance(event, IndexReport):
                return event
            if isinstance(event, Progress):
                bars.show(event)
    raise Unusable("The daemon ended before the pages were indexed.", "See: lorebook logs")


def _refuse_unread(report: IndexReport, kept: list[str]) -> None:
    """Raise Unusable where one of the pages holds nothing that can be read."""
    for skipped in report.skipped:
        if skipped.path in kept:
            raise Unusable(
                f"{skipped.path} was fetched and cannot be read: {skipped.why}.", "Delete it, or fetch it again."
            )
