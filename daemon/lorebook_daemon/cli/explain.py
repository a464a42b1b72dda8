"""Why each passage stands where it does, as a table: a row a passage, a column a step of the ranking."""

from __future__ import annotations

from collections.abc import Sequence

from lorebook_api.place import name_place
from lorebook_api.schema import RankStep, SearchResponse, SearchResult
from lorebook_daemon.cli.screen import Screen

_LEGEND = "Each column: the score after that step, and the place among all candidates. A blank: nothing changed."


def show_explained(screen: Screen, response: SearchResponse, roots: Sequence[str]) -> None:
    """Write the results with the steps of their scores."""
    for notice in response.notices:
        screen.say(notice)
    if not response.results:
        screen.write("Nothing found.")
        return
    names = list(dict.fromkeys(step.name for result in response.results for step in result.steps))
    rows = [_row(result, names, len(roots) > 1) for result in response.results]
    screen.table(("#", "passage", *names, "score"), rows)
    screen.say(_LEGEND)


def _row(result: SearchResult, names: Sequence[str], several: bool) -> tuple[str, ...]:
    steps = {step.name: step for step in result.steps}
    cells, before = [], None
    for name in names:
        step = steps.get(name)
        cells.append(_cell(step, before))
        before = step or before
    place = name_place(result, result.root if several else "")
    return (str(result.rank), place, *cells, f"{result.score:.3f}")


def _cell(step: RankStep | None, before: RankStep | None) -> str:
    if step is None or not step.rank:
        return "-"
    if before is not None and before.rank == step.rank and abs(before.score - step.score) < 0.0005:
        return ""
    return f"{step.score:.3f} ({step.rank})"
