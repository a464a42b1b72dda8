"""`lorebook classify`: tell texts apart with a classifier that was taught here."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from lorebook_api.classification import ClassifyReport, ClassifyRequest
from lorebook_api.errors import BadRequest, NotFound
from lorebook_daemon.cli.options import daemon_option, examples, json_option
from lorebook_daemon.cli.reach import reach
from lorebook_daemon.cli.screen import Screen, printable


@click.command(
    short_help="Tell texts apart with a classifier.",
    epilog=examples(
        "lorebook teach --data mails.jsonl --method classifier --name spam",
        'lorebook classify "You have won a prize"',
        "lorebook classify --with spam --file mails.txt --json",
    ),
)
@click.argument("texts", nargs=-1, metavar="[TEXT]...")
@click.option("--with", "classifier", default="", metavar="NAME", help="Its name. Default: the only one that there is.")
@click.option("--file", metavar="FILE", help="Texts, one a line; - reads them from standard input.")
@json_option
@daemon_option
def classify(texts: tuple[str, ...], classifier: str, file: str | None, as_json: bool, start: bool) -> None:
    """Say of each TEXT which class it is of, and how likely that is."""
    wanted = (*texts, *(_lines(file) if file else ()))
    if not wanted:
        raise BadRequest("There is no text.", 'Type one: lorebook classify "…"')
    screen = Screen()
    report = reach(screen, start).classify(ClassifyRequest(wanted, classifier))
    if as_json:
        click.echo(json.dumps(asdict(report), indent=2))
    else:
        _show(screen, wanted, report)


def _lines(file: str) -> tuple[str, ...]:
    if file == "-":
        return tuple(line for line in sys.stdin.read().splitlines() if line.strip())
    path = Path(file).expanduser().absolute()
    if not path.is_file():
        raise NotFound(f"{path} is not a file.", "Check the path.")
    return tuple(line for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip())


def _show(screen: Screen, texts: tuple[str, ...], report: ClassifyReport) -> None:
    width = max(len(name) for name in report.classes)
    for text, result in zip(texts, report.results, strict=True):
        screen.write(printable(f"{result.label:<{width}}  {max(result.probabilities):.2f}  {text[:100]}"))
