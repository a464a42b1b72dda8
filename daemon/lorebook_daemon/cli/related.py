"""`lorebook related`: passages near to one that stands at a known place."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from lorebook_api.errors import BadRequest, NotFound
from lorebook_api.retrieval import RelatedRequest
from lorebook_api.typed import find_roots
from lorebook_daemon.cli.options import daemon_option, examples, json_option, k_option, roots_option
from lorebook_daemon.cli.passages import list_passages
from lorebook_daemon.cli.reach import reach
from lorebook_daemon.cli.screen import Screen

_NUMBERED = re.compile(r"(.+?):(\d+)(?:-\d+)?")
_NOTEBOOK = ".ipynb"


@click.command(
    short_help="Find passages near to one that is known.",
    epilog=examples(
        "lorebook related src/taxi/fare.py:120     # what uses it, what it uses, what says the like",
        "lorebook related eda.ipynb:5 -k 3         # near to cell 5; cells count from 0",
    ),
)
@click.argument("place", metavar="FILE[:LINE]")
@roots_option
@k_option(10)
@json_option
@daemon_option
def related(place: str, roots: tuple[str, ...], k: int, as_json: bool, start: bool) -> None:
    """List the passages nearest to the one at FILE:LINE, by its own words, names and meaning, best first.

    In a notebook the number is that of a cell. Without one it is the first line, or the first cell.
    """
    folders = find_roots(roots)
    request = _request(place, folders, k)
    screen = Screen()
    client = reach(screen, start)
    with screen.err.status("searching; a folder that is new is indexed first"):
        response = client.related(request)
    if as_json:
        click.echo(json.dumps(asdict(response), indent=2))
        return
    list_passages(screen, response, folders, "Nothing else is there.")


def _request(place: str, folders: Sequence[str], k: int) -> RelatedRequest:
    """Return what is asked for; raises NotFound for a file that is not there, BadRequest for one in no root."""
    numbered = None if Path(place).is_file() else _NUMBERED.fullmatch(place)
    typed, number = (numbered[1], int(numbered[2])) if numbered else (place, None)
    file = Path(typed).expanduser()
    if file.is_dir():
        raise BadRequest(f"{typed} is a folder.", "Name a file in it, and a line or a cell: src/fare.py:120")
    if not file.is_file():
        raise NotFound(f"{typed} is not there.", "Name a file, and a line or a cell: src/fare.py:120")
    file = file.resolve()
    root = next((root for root in folders if file.is_relative_to(root)), None)
    if root is None:
        raise BadRequest(f"{file} is in none of the folders {', '.join(folders)}.", f"Add: --root {file.parent}")
    path = file.relative_to(root).as_posix()
    ordered = (root, *(folder for folder in folders if folder != root))
    if file.suffix.lower() == _NOTEBOOK:
        return RelatedRequest(path, cell_index=number or 0, roots=ordered, k=k)
    return RelatedRequest(path, 1 if number is None else number, roots=ordered, k=k)
