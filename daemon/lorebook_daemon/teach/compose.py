"""From a request to its examples: select, compose, flag, keep back. All that `--preview` shows, before tokens."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from lorebook_api.errors import BadRequest
from lorebook_api.teaching import TeachRequest
from lorebook_daemon.teach.datafile import read_data
from lorebook_daemon.teach.examples import Example, Origin, Turn, digest
from lorebook_daemon.teach.hygiene import flagged
from lorebook_daemon.teach.recipes import SYNTH, find_recipe
from lorebook_daemon.teach.select import Selection, read_cells
from lorebook_daemon.teach.split import split

EXAMPLES_MOST = 50_000
"""More of them would train for weeks on the machines that this is for."""


def compose(request: TeachRequest, proposed: Sequence[Example] = ()) -> list[Example]:
    """Return all examples of a request in order: used, held out, and left out with the reason.

    `proposed` are those that a model made of the notebooks, by the recipe `synth`. Raises BadRequest where nothing can
    be taught, NotFound and Unusable for files.
    """
    composed = [*proposed, *_examples(request)]
    if not composed:
        raise BadRequest(*_nothing(request))
    if len(composed) > EXAMPLES_MOST:
        told = f"{len(composed):,} examples are more than can be taught here ({EXAMPLES_MOST:,})."
        raise BadRequest(told, "Select fewer cells, or cut the data file.")
    checked = _without(flagged(composed, request.keep), request.without)
    examples = split(checked, request.settings.held_out, request.settings.seed)
    used = [example for example in examples if not example.left_out and not example.held_out]
    if not used:
        why = next(example.left_out for example in examples if example.left_out)
        raise BadRequest(f"All {len(composed)} examples are left out, the first for {why}.", "See them: --preview")
    return examples


def _examples(request: TeachRequest) -> Iterator[Example]:
    if request.recipe != SYNTH:
        recipe = find_recipe(request.recipe)
        for notebook in request.notebooks:
            yield from recipe(read_cells(Path(notebook), selection_of(request)))
    for data in request.data:
        yield from read_data(Path(data))
    for pair in request.pairs:
        origin = Origin(pair.path, pair.cell, digest(pair.question + "\n\n" + pair.answer))
        yield Example((Turn("user", pair.question),), pair.answer, origin)


def selection_of(request: TeachRequest) -> Selection:
    """Return which cells a request wants."""
    return Selection(request.cells, request.tags, request.ids, request.whole)


def _without(examples: Iterable[Example], ids: Collection[str]) -> list[Example]:
    """Leave out what the person left out; after the flags, so that its near-duplicate does not take its place."""
    return [
        replace(example, left_out="chosen: you left it out") if example.id in ids and not example.left_out else example
        for example in examples
    ]


def _nothing(request: TeachRequest) -> tuple[str, str]:
    if request.approved and not (request.notebooks or request.data):
        return (
            "No answer was approved yet.",
            "Keep what you think of answers: LOREBOOK_FEEDBACK=keep, then: lorebook stop. Then give some a thumb up.",
        )
    if not (request.notebooks or request.data or request.pairs):
        return "There is nothing to teach.", "Name a notebook or a data file: lorebook teach NOTEBOOK --all"
    if selection_of(request).empty and request.notebooks:
        return (
            "No cell was selected, and none begins with %%teach.",
            "Select some: --cells 2,5-7, --tag TAG or --all",
        )
    return (
        f"Nothing can be taught from these by the recipe {request.recipe!r}: cells without text, or without a pair.",
        "Try another: --recipe explain, write, result, qa, text or synth",
    )
