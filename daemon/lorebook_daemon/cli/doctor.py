"""`lorebook doctor`: what is ready, what is not, the next step for each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict

import click
from rich.text import Text

from lorebook_api.home import find_home
from lorebook_daemon.cli.checks import Check, Patient, examine
from lorebook_daemon.cli.options import debug_option, examples, json_option
from lorebook_daemon.cli.screen import Screen, printable

STYLES = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command(
    short_help="Say what is ready and what is not.",
    epilog=examples("lorebook doctor", "lorebook doctor --offline     # before a flight"),
)
@click.option("--offline", is_flag=True, help="Count as missing whatever the network would have to bring.")
@json_option
@debug_option
@click.pass_context
def doctor(ctx: click.Context, offline: bool, as_json: bool) -> None:
    """Check this machine, and say for each thing that is missing what to type. Ends with 1 where something fails."""
    checks = examine(Patient(find_home(), offline))
    ready = all(check.state != "fail" for check in checks.values())
    if as_json:
        listed = [{"name": name, **asdict(check)} for name, check in checks.items()]
        click.echo(json.dumps({"ready": ready, "offline": offline, "checks": listed}, indent=2))
    else:
        _show(Screen(), checks, ready)
    ctx.exit(0 if ready else 1)


def _show(screen: Screen, checks: Mapping[str, Check], ready: bool) -> None:
    width = max(map(len, checks))
    for name, check in checks.items():
        line = Text(f"{check.state:<4} ", STYLES[check.state]).append(f"{name:<{width}}  ", "bold")
        screen.write(line.append(printable(check.detail), ""))
        if check.next:
            screen.write(f"{'':<{width + 7}}next: {check.next}", style="dim")
    screen.write("ready" if ready else "not ready: see the lines that say fail", style="bold")
