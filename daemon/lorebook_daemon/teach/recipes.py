"""Recipes: how cells become examples. One function a recipe, over all cells of a notebook in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from lorebook_api.errors import BadRequest
from lorebook_api.teaching import pairs_in
from lorebook_daemon.teach.examples import Example, Origin, Turn, digest
from lorebook_daemon.teach.select import SelectedCell

Recipe = Callable[[Sequence[SelectedCell]], Iterator[Example]]

_EXPLAIN = "Explain what this code of {name} does:\n\n{code}"
_WRITE = "Write the code of {name} for this:\n\n{prose}"
_RESULT = "What does this code of {name} show?\n\n{code}"


def explain(cells: Sequence[SelectedCell]) -> Iterator[Example]:
    """Yield code → the prose above it, for chosen code that has some."""
    for prose, code in _prose_and_code(cells):
        question = _EXPLAIN.format(name=_name(code), code=_fenced(code.source))
        yield _example(code, question, prose.source, prose)


def write(cells: Sequence[SelectedCell]) -> Iterator[Example]:
    """Yield prose → the code below it, for chosen code that has prose above."""
    for prose, code in _prose_and_code(cells):
        question = _WRITE.format(name=_name(code), prose=prose.source)
        yield _example(code, question, _fenced(code.source), prose)


def result(cells: Sequence[SelectedCell]) -> Iterator[Example]:
    """Yield code → what it showed, for chosen code that showed something."""
    for cell in cells:
        if cell.chosen and cell.type == "code" and cell.source.strip() and cell.output:
            yield _example(cell, _RESULT.format(name=_name(cell), code=_fenced(cell.source)), cell.output)


def qa(cells: Sequence[SelectedCell]) -> Iterator[Example]:
    """Yield question and answer of chosen cells that hold one, a blank line and the other; `---` parts several."""
    for cell in cells:
        for pair in pairs_in(cell.source) if cell.chosen else ():
            if pair.answer:
                yield _example(cell, pair.question, pair.answer)


def text(cells: Sequence[SelectedCell]) -> Iterator[Example]:
    """Yield the chosen cells as texts to be continued."""
    for cell in cells:
        if cell.chosen and cell.source.strip():
            yield Example((), cell.source, _origin(cell))


def auto(cells: Sequence[SelectedCell]) -> Iterator[Example]:
    """Yield what fits each chosen cell: `%%teach` and notes that ask as `qa`, other code as `explain` and `result`."""
    others = [cell for cell in cells if not cell.taught]
    yield from qa([cell for cell in cells if cell.taught or _asks(cell)])
    yield from explain(others)
    yield from result(others)


RECIPES: dict[str, Recipe] = {
    "auto": auto,
    "explain": explain,
    "write": write,
    "result": result,
    "qa": qa,
    "text": text,
}


SYNTH = "synth"
"""The recipe that a model carries out, in `synth`; its examples are handed to `compose`."""


def find_recipe(name: str) -> Recipe:
    """Return the recipe of a name that needs no model; raises BadRequest."""
    if name not in RECIPES:
        raise BadRequest(f"There is no recipe {name!r}.", f"Recipes are: {', '.join((*RECIPES, SYNTH))}.")
    return RECIPES[name]


def _prose_and_code(cells: Sequence[SelectedCell]) -> Iterator[tuple[SelectedCell, SelectedCell]]:
    """Yield each chosen code cell with the prose that stands right above it."""
    for above, cell in pairwise(cells):
        told = above.type == "markdown" and above.source.strip()
        if told and cell.chosen and cell.type == "code" and cell.source.strip():
            yield above, cell


def _asks(cell: SelectedCell) -> bool:
    """Return whether a note holds nothing but questions, each with its answer after a blank line."""
    pairs = pairs_in(cell.source) if cell.type != "code" else ()
    return bool(pairs) and all(pair.answer and pair.question.endswith("?") for pair in pairs)


def _example(cell: SelectedCell, question: str, answer: str, *others: SelectedCell) -> Example:
    return Example((Turn("user", question),), answer, _origin(cell), also=tuple(map(_origin, others)))


def _origin(cell: SelectedCell) -> Origin:
    return Origin(cell.path, cell.id, digest(cell.source))


def _name(cell: SelectedCell) -> str:
    return cell.path.replace("\\", "/").rpartition("/")[2]


def _fenced(code: str) -> str:
    return f"```\n{code}\n```"
