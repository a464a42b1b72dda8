"""The command `lorebook` and the list of its commands."""

from __future__ import annotations

import click

from lorebook_api.version import VERSION
from lorebook_daemon.cli.adapters import adapters
from lorebook_daemon.cli.add import add
from lorebook_daemon.cli.ask import ask
from lorebook_daemon.cli.classify import classify
from lorebook_daemon.cli.daemon import logs, serve, status, stop
from lorebook_daemon.cli.doctor import doctor
from lorebook_daemon.cli.evaluate import evaluate
from lorebook_daemon.cli.index import index
from lorebook_daemon.cli.jobs import jobs
from lorebook_daemon.cli.mcp import mcp
from lorebook_daemon.cli.models import models
from lorebook_daemon.cli.options import debug_option, examples
from lorebook_daemon.cli.program import Program
from lorebook_daemon.cli.related import related
from lorebook_daemon.cli.search import search
from lorebook_daemon.cli.settings import settings
from lorebook_daemon.cli.teach import teach


@click.group(
    cls=Program,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=examples("lorebook doctor", 'lorebook ask "which cell drops the null rows?"'),
)
@click.version_option(VERSION, prog_name="lorebook", message="%(prog)s %(version)s")
@debug_option
def lorebook() -> None:
    """Ask your own notebooks and code, offline, and see the very lines that support each sentence.

    Everything stays on this machine. A daemon holds the model and the indexes; it starts by itself
    when a command needs it and ends after an hour without questions. LOREBOOK_HOME moves every file
    that lorebook keeps.
    """


for command in (
    *(ask, search, related, index, add),
    *(serve, status, stop, logs, models, adapters, teach, classify, jobs, evaluate, doctor, settings, mcp),
):
    lorebook.add_command(command)
