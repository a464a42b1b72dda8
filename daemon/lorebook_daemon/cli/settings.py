"""`lorebook settings`: what can be set, what is set, and where."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import click

from lorebook_api.home import find_home
from lorebook_daemon.cli.options import debug_option, examples, json_option
from lorebook_daemon.cli.screen import Screen, printable
from lorebook_daemon.settings import Settings, given_settings, load_settings

_HIDDEN = "(set, not shown)"


@click.command(
    short_help="Show what can be set, and what is.",
    epilog=examples("lorebook settings", "LOREBOOK_OFFLINE=1 lorebook settings --json"),
)
@json_option
@debug_option
def settings(as_json: bool) -> None:
    """Show every setting, its value, and where that comes from.

    A line in config.toml sets one, such as  offline = true , or a variable, such as LOREBOOK_OFFLINE=1, which goes
    before. A daemon that runs keeps those that it began with: lorebook stop. What each means: docs/settings.md.
    """
    home, screen = find_home(), Screen()
    given, chosen = given_settings(home), load_settings(home)
    sources = {field.name: given[field.name].source if field.name in given else "" for field in _fields()}
    values = {field.name: _shown(field, getattr(chosen, field.name)) for field in _fields()}
    file = home.config / "config.toml"
    if as_json:
        listed = [{"name": name, "value": values[name], "source": sources[name] or "default"} for name in values]
        click.echo(json.dumps({"file": str(file), "settings": listed}, indent=2))
        return
    rows = [(name, _spelled(value), sources[name]) for name, value in values.items()]
    screen.table(("setting", "value", "set by"), rows)
    screen.say(f"{printable(str(file))} {'is read' if file.is_file() else 'would be read; there is none'}")


def _fields() -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(Settings)


def _shown(field: dataclasses.Field[Any], value: Any) -> Any:
    """Return the value, but nothing of one that may hold a password."""
    return value if field.repr or not value else _HIDDEN


def _spelled(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else printable(str(value))
