"""How the command line fails: one line on stderr, and an exit status that says whose turn it is."""

from __future__ import annotations

import json
import traceback
from typing import Any

import click

from lorebook_api.errors import LorebookError

DEBUG = "lorebook.debug"
JSON = "lorebook.json"
"""Keys of click's meta, which a group shares with its commands."""


class Program(click.Group):
    """A group that turns errors into one line and exit 1, an interrupt into exit 130."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was typed."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except KeyboardInterrupt:
            ctx.exit(130)
        except LorebookError as error:
            _fail(ctx, error)
        except Exception as error:  # the edge of the program: a bug shows as a line too
            message = f"this should not happen: {type(error).__name__}: {error}."
            _fail(ctx, LorebookError(message, "Run it again with --debug to see where, and please report it."))

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order in which they were added: the most used first."""
        return list(self.commands)


def _fail(ctx: click.Context, error: LorebookError) -> None:
    if ctx.meta.get(DEBUG):
        click.echo(traceback.format_exc(), err=True, nl=False)
    if ctx.meta.get(JSON):
        click.echo(json.dumps(error.body()))
    click.echo(f"lorebook: {' '.join(str(error).split())}", err=True)
    ctx.exit(1)
