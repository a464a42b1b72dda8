"""`lorebook serve`, `status`, `stop`, `logs`: the daemon itself."""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from dataclasses import asdict
from pathlib import Path

import click

from lorebook_api.client import Client
from lorebook_api.discovery import find_daemon, stop_daemon
from lorebook_api.errors import DaemonUnavailable, NotFound
from lorebook_api.home import find_home
from lorebook_api.indexing import Indexing
from lorebook_api.state import Status
from lorebook_api.typed import find_model, find_roots
from lorebook_daemon.cli.daemonpackages import daemon_packages
from lorebook_daemon.cli.options import debug_option, examples, json_option
from lorebook_daemon.cli.screen import Screen, printable
from lorebook_daemon.settings import load_settings


@click.command(
    short_help="Run the daemon in this terminal.",
    epilog=examples("lorebook serve", "lorebook serve --root ~/taxi --model qwen2.5-coder-0.5b-instruct-q4_k_m"),
)
@click.option(
    "--root",
    "roots",
    multiple=True,
    metavar="DIR",
    help="Folder to index and watch, for questions that name none; may be repeated. Default: none.",
)
@click.option("--model", metavar="NAME|PATH", help="The model to answer with. Default: chosen by memory and speed.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port on this machine; 0 takes a free one.  [default: 0]")
@click.option("--socket", "socket_path", type=click.Path(path_type=Path), help="Unix socket to listen on instead.")
@debug_option
def serve(roots: tuple[str, ...], model: str | None, port: int | None, socket_path: Path | None) -> None:
    """Run the daemon until it is stopped. Commands start it by themselves; this shows it at work."""
    home = find_home()
    settings = load_settings(home, model=find_model(model) if model else None, port=port)
    folders = find_roots(roots) if roots else ()
    with daemon_packages():
        from lorebook_daemon.app.serve import serve as serve_app  # the daemon's own packages are an extra
        from lorebook_daemon.models.shelf import check_name
    if model and settings.engine == "llama":
        check_name(settings.model, home)
    asyncio.run(serve_app(settings, home.make(), folders, socket_path.absolute() if socket_path else None))


@click.command(
    short_help="Show the daemon, its model and its indexes.",
    epilog=examples("lorebook status", "lorebook status --json | jq .roots"),
)
@json_option
@debug_option
def status(as_json: bool) -> None:
    """Show whether the daemon runs, what it holds, and what it is doing. Never starts it."""
    daemon = find_daemon(find_home())
    if daemon is None:
        raise DaemonUnavailable("no daemon is running.", "It starts with the first question, or type: lorebook serve")
    state = Client(daemon).status()
    if as_json:
        click.echo(json.dumps(asdict(state), indent=2))
    else:
        _show_status(Screen(), state)


def _show_status(screen: Screen, state: Status) -> None:
    idle = f"stops after {state.idle_stop_s / 60:.0f} idle minutes" if state.idle_stop_s else "never stops by itself"
    screen.write(f"lorebook {state.version}, pid {state.pid}, {state.url}, up {state.uptime_s / 60:.0f} min, {idle}")
    screen.write(printable(f"model   {state.model or 'none loaded'} ({state.engine})"))
    screen.write(f"queue   {state.queue}")
    screen.write(f"memory  {state.memory_mb:.0f} MB")
    if state.kv_disk_most_mb:
        screen.write(f"kept    {state.kv_disk_mb:.0f} of at most {state.kv_disk_most_mb} MB of passages that were read")
    works = {work.root: work for work in state.index_work}
    for busy in state.indexing:
        screen.write(printable(f"indexing {busy}{_how_far(works.get(busy))} (ends with: lorebook stop)"))
    if state.index_paused:
        screen.write("paused  all indexing (goes on with: lorebook index --resume)")
    for watched in state.watched:
        screen.write(printable(f"watches {watched}"))
    if not state.roots:
        screen.write("no folder is indexed yet: lorebook index DIR", style="dim")
        return
    rows = [(str(r.files), str(r.passages), str(r.vectors), r.updated, r.root) for r in state.roots]
    screen.table(("files", "passages", "vectors", "updated", "root"), rows)


def _how_far(work: Indexing | None) -> str:
    """Return what is being done for a root, how many, and how long that will take."""
    if work is None:
        return ""
    done = f" {work.progress.done:,} of {work.progress.total:,}" if work.progress.total else ""
    left = f", some {work.seconds_left:.0f} s left" if work.seconds_left is not None else ""
    return f": {work.progress.what}{done}{left}{f', {work.held}' if work.held else ''}"


@click.command(short_help="Stop the daemon.", epilog=examples("lorebook stop"))
@debug_option
def stop() -> None:
    """Stop the daemon and wait until it has ended. Work in hand is told so."""
    home = find_home()
    daemon = find_daemon(home)
    if daemon is None:
        click.echo("No daemon is running.")
        return
    stop_daemon(home, daemon)
    click.echo(f"Stopped the daemon (pid {daemon.pid}).")


@click.command(
    short_help="Show the daemon's log.",
    epilog=examples("lorebook logs", "lorebook logs -n 500 | grep error", "lorebook logs --follow"),
)
@click.option(
    "-n", "--lines", type=click.IntRange(1), default=50, show_default=True, help="How many of the last lines."
)
@click.option("-f", "--follow", is_flag=True, help="Go on until interrupted.")
@debug_option
def logs(lines: int, follow: bool) -> None:
    """Show the end of the daemon's log. Questions and answers are never in it."""
    file = find_home().log_file
    if not file.is_file():
        raise NotFound(f"{file} is not there: no daemon has run yet.", "It starts with the first question.")
    with file.open(encoding="utf-8", errors="replace") as log:
        for line in deque(log, maxlen=lines):
            click.echo(printable(line.rstrip("\n")))
        while follow:
            line = log.readline()
            if line:
                click.echo(printable(line.rstrip("\n")))
            else:
                time.sleep(0.2)
