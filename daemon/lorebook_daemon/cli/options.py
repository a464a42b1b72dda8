"""The options that several commands share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast, get_args

import click

from lorebook_api.retrieval import Kind, Rerank, Rewrite
from lorebook_api.typed import K_MOST, find_filters
from lorebook_daemon.cli.program import DEBUG, JSON

F = TypeVar("F", bound=Callable[..., Any])


def examples(*lines: str) -> str:
    r"""Return the end of a help text: one example a line, kept as it is (click's `\b`)."""
    return "\n".join(("\b", "Examples:" if len(lines) > 1 else "Example:", *(f"  {line}" for line in lines)))


def _note(key: str) -> Callable[[click.Context, click.Parameter, bool], bool]:
    def noted(ctx: click.Context, _: click.Parameter, value: bool) -> bool:
        ctx.meta[key] = bool(ctx.meta.get(key)) or value
        return value

    return noted


def debug_option(command: F) -> F:
    """Give a command `--debug`: tracebacks are shown."""
    return click.option(
        "--debug", is_flag=True, is_eager=True, expose_value=False, callback=_note(DEBUG), help="Show tracebacks."
    )(command)


def json_option(command: F) -> F:
    """Give a command `--json`, passed on as `as_json`."""
    return click.option(
        "--json",
        "as_json",
        is_flag=True,
        is_eager=True,
        callback=_note(JSON),
        help="Print one JSON document on stdout, nothing else.",
    )(command)


def daemon_option(command: F) -> F:
    """Give a command `--no-daemon-start`, passed on as `start`, and `--debug`."""
    return click.option(
        "--no-daemon-start", "start", flag_value=False, default=True, type=bool, help="Fail where no daemon runs."
    )(debug_option(command))


def roots_option(command: F) -> F:
    """Give a command `--root DIR`, which may be repeated."""
    return click.option(
        "--root", "roots", multiple=True, metavar="DIR", help="Folder to look in; may be repeated. Default: this one."
    )(command)


def k_option(default: int) -> Callable[[F], F]:
    """Give a command `-k N`, the number of passages."""
    return click.option(
        "-k",
        type=click.IntRange(1, K_MOST),
        metavar="N",
        default=default,
        show_default=True,
        help=f"How many passages, at most {K_MOST}.",
    )


def filter_options(command: F) -> F:
    """Give a command the options that narrow what may be found; they are passed on together, as `filters`."""

    @functools.wraps(command)
    def narrowed(**given: Any) -> Any:
        values = {name: given.pop(name) for name in ("paths", "kinds", "languages", "since", "notebooks", "tags")}
        return command(**given, filters=find_filters(**values))

    for option in (
        click.option("--tag", "tags", multiple=True, metavar="TAG", help="Only cells with this tag."),
        click.option("--notebook", "notebooks", multiple=True, metavar="NAME", help="Only this notebook."),
        click.option("--since", metavar="WHEN", help="Only files changed since: 30min, 12h, 7d, 2026-11-01."),
        click.option("--language", "languages", multiple=True, metavar="NAME", help="Only this language: python, sql."),
        click.option("--kind", "kinds", multiple=True, type=click.Choice(get_args(Kind)), help="Only this kind."),
        click.option(
            "--path",
            "paths",
            multiple=True,
            metavar="GLOB",
            help="Only these files: src/, '*.md', '!tests/'; from the root on. This and the next may be repeated.",
        ),
    ):
        narrowed = option(narrowed)
    return cast(F, narrowed)


def rerank_option(default: Rerank) -> Callable[[F], F]:
    """Give a command `--rerank`, what puts the first passages that are found into a new order."""
    return click.option(
        "--rerank",
        type=click.Choice(get_args(Rerank)),
        default=default,
        show_default=True,
        help="Order the first passages anew: by how likely the model finds the question, by its yes or no to whether "
        "they answer, or by a cross-encoder. Takes seconds.",
    )


def rewrite_option(default: Rewrite) -> Callable[[F], F]:
    """Give a command `--rewrite`, how the question is put in other words before anything is looked up."""
    return click.option(
        "--rewrite",
        type=click.Choice(get_args(Rewrite)),
        default=default,
        show_default=True,
        help="Have the model put the question in other words first, or propose what to look up beside it.",
    )
