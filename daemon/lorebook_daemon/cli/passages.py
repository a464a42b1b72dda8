"""Passages on the terminal: where they stand, as a link, and their lines, dimmed."""

from __future__ import annotations

from collections.abc import Sequence

from rich.style import Style
from rich.text import Text

from lorebook_api.place import Located, find_file, name_place
from lorebook_api.retrieval import SearchResponse
from lorebook_daemon.cli.screen import Screen, printable

LINES_SHOWN = 12
_LINES_LISTED = 6


def list_passages(screen: Screen, response: SearchResponse, roots: Sequence[str], nothing: str) -> None:
    """Write the passages that were found, best first, each with its first lines; `nothing` where there are none."""
    for notice in response.notices:
        screen.say(notice)
    for result in response.results:
        head = Text(f"{result.rank:>2}. ", style="bold").append_text(place_of(result, roots))
        screen.write(head.append(f"  {result.kind} {result.score:.3f}", style="dim"))
        show_lines(screen, result.text, _LINES_LISTED)
    if not response.results:
        screen.write(nothing)


def place_of(item: Located, roots: Sequence[str]) -> Text:
    """Return where the passage stands, linked to its file; the root is named where several were asked about."""
    several = len(roots) > 1
    words = printable(name_place(item, item.root if several else ""))
    if not roots and not item.root:
        return Text(words)
    target = find_file(item, roots[0] if roots else "").absolute().as_uri()
    # In a notebook the lines count inside the cell, so the file's line is not known.
    line = "" if item.cell_index is not None else f"#{item.start_line}"
    return Text(words, Style(link=target + line))


def show_lines(screen: Screen, text: str, most: int = LINES_SHOWN) -> None:
    """Write the passage's lines, dimmed and indented; what is left out is counted."""
    lines = printable(text).split("\n")
    for line in lines[:most]:
        screen.write(f"    {line}", style="dim")
    if len(lines) > most:
        screen.write(f"    … {len(lines) - most} more lines", style="dim italic")
