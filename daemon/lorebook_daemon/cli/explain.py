"""Why passages stand where they do: a table of the search's steps, on the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from lorebook_api.retrieval import RankStep, SearchResponse, SearchResult
from lorebook_daemon.cli.passages import place_of
from lorebook_daemon.cli.screen import Screen

_LEGEND = (
    "words and meaning: what a passage is worth by either list, - where it is not in it; fused: both; ×: what a signal "
    "made of the score, · where nothing; code among all: code shares out the scores that it had; final: as it is told."
)


def show_steps(screen: Screen, response: SearchResponse, roots: Sequence[str]) -> None:
    """Write the passages, and below them a line for each step with a column for each passage."""
    for result in response.results:
        screen.write(Text(f"{result.rank:>2}. ", style="bold").append_text(place_of(result, roots)))
    if not response.results:
        screen.write("Nothing found.")
        return
    screen.write()
    # What saw none of them, as signals of code see no notebook, would be a line of nothing.
    names = list(dict.fromkeys(step.name for result in response.results for step in result.steps if step.rank))
    head = ["", *(str(result.rank) for result in response.results)]
    screen.table(head, [[name, *(_cell(result, name) for result in response.results)] for name in names])
    screen.say(_LEGEND)


def _cell(result: SearchResult, name: str) -> str:
    step = next((step for step in result.steps if step.name == name), None)
    return "" if step is None else _told(step)


def _told(step: RankStep) -> str:
    if not step.rank:
        return "-"
    if step.factor is None:
        return f"{step.score:.3f}"
    return "·" if abs(step.factor - 1) < 0.005 else f"×{step.factor:.2f}"
