"""`lorebook mcp`: search, find_related and ask for other programs' models, over MCP on stdin and stdout."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import click

from lorebook_api.errors import BadRequest, DaemonUnavailable, StorageFailed
from lorebook_api.home import Home, find_home
from lorebook_api.tools import Toolbox, check_enabled
from lorebook_api.typed import find_roots
from lorebook_daemon.cli.options import daemon_option, examples, roots_option
from lorebook_daemon.cli.screen import Screen


@click.command(
    short_help="Let other programs' models search and ask, over MCP.",
    epilog=examples(
        "lorebook mcp --enable --root ~/taxi     # allow it, and print what to tell the other program",
        "lorebook mcp --root ~/taxi              # what the other program runs",
        "lorebook mcp --disable",
    ),
)
@roots_option
@click.option("--enable", "switch", flag_value="enable", help="Allow it, and print the lines for the other program.")
@click.option("--disable", "switch", flag_value="disable", help="Allow it no longer; takes effect at once.")
@daemon_option
def mcp(roots: tuple[str, ...], switch: Literal["enable", "disable"] | None, start: bool) -> None:
    """Serve the tools search, find_related and ask on stdin and stdout, to a program that speaks MCP.

    Off until it is allowed. The tools see the folders named by --root and nothing else, and change nothing.
    What they return goes to that program, and from there wherever it sends what it reads.
    """
    home, screen = find_home(), Screen()
    if switch == "disable":
        home.tools_switch.unlink(missing_ok=True)
        screen.say("Other programs may not use lorebook's tools from now on.")
        return
    folders = _folders(roots)
    _check_installed()
    if switch == "enable":
        _enable(home)
        screen.say("Other programs may use lorebook's tools now. Tell yours this; lorebook mcp --disable ends it.")
        click.echo(json.dumps(_client_lines(folders), indent=2))
        return
    check_enabled(home)
    if sys.stdin.isatty():
        screen.say("Speaking MCP on stdin and stdout, for a program that starts this; Ctrl-C ends it.")
    _serve(Toolbox(home, folders, start))


def _folders(roots: Sequence[str]) -> tuple[str, ...]:
    """Return the folders that are offered; raises BadRequest for a whole disk, where such programs often start."""
    folders = find_roots(roots)
    for folder in folders:
        if folder == Path(folder).anchor:
            raise BadRequest(f"{folder} is the whole disk.", "Name the folder to offer: lorebook mcp --root DIR")
    return folders


def _check_installed() -> None:
    """Raise DaemonUnavailable where the protocol's SDK, which is an extra, is not installed."""
    if importlib.util.find_spec("mcp") is None:
        message = "what speaks MCP is not installed (mcp is missing)."
        raise DaemonUnavailable(message, "Type: pip install 'lorebook[mcp]'")


def _enable(home: Home) -> None:
    try:
        home.make().tools_switch.touch()
    except OSError as error:
        message = f"{home.tools_switch} cannot be written ({error.strerror or error})."
        raise StorageFailed(message, "Set LOREBOOK_HOME to a folder that can be written.") from error


def _client_lines(folders: Sequence[str]) -> dict[str, object]:
    """Return the entry that programs with MCP clients take, in the shape that most of them share."""
    installed = shutil.which("lorebook")
    command = [installed] if installed else [sys.executable, "-P", "-m", "lorebook_daemon"]
    arguments = [*command[1:], "mcp", *(word for folder in folders for word in ("--root", folder))]
    return {"mcpServers": {"lorebook": {"command": command[0], "args": arguments}}}


def _serve(toolbox: Toolbox) -> None:
    from lorebook_daemon.cli.mcpserver import serve  # the SDK takes a second to import

    serve(toolbox)
