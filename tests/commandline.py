"""Runs the command line in the test's own process."""

from typing import Protocol

from click.testing import CliRunner, Result

from lorebook_daemon.cli.commands import lorebook


class Run(Protocol):
    """What the fixture `run` is: the words typed, and what came of them."""

    def __call__(self, *words: str) -> Result: ...


def run_command(*words: str) -> Result:
    """Return exit code, stdout and stderr of `lorebook WORDS`."""
    return CliRunner().invoke(lorebook, list(words), prog_name="lorebook")
