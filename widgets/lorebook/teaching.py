"""`lorebook.teach`: an adapter from cells, data files or pairs, and the job that shows itself while it is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lorebook.job import Job
from lorebook.reaching import reach
from lorebook_api.errors import BadRequest, NotFound
from lorebook_api.teaching import Pair, Preview, TeachRequest, TrainSettings, pairs_in
from lorebook_api.typed import find_model

Files = str | Path | Sequence[str | Path]
Pairs = Mapping[str, str] | Sequence[tuple[str, str]]


def teach(
    notebook: Files = (),
    *,
    cells: str = "",
    tag: str | Sequence[str] = (),
    id: str | Sequence[str] = (),
    whole: bool = False,
    data: Files = (),
    pairs: Pairs = (),
    approved: bool = False,
    recipe: str = "auto",
    template: str = "chat",
    method: str = "alora",
    name: str = "",
    replace: bool = False,
    base: str = "auto",
    keep: Sequence[str] = (),
    wait: bool = True,
    **settings: Any,
) -> Job:
    """Teach the cells of notebooks, the rows of data files, or `pairs` of question and answer; return the Job.

    With `approved` also the answers that you gave a thumb up or put right, as far as such feedback is kept.
    `settings` are the fields of TrainSettings: rank, targets, epochs, learning_rate, … With `wait` the job shows itself
    here until it has ended; an interrupt stops watching, and the job goes on. Raises LorebookError.
    """
    chosen = {"cells": cells, "tag": tag, "id": id, "whole": whole, "data": data, "pairs": pairs, "approved": approved}
    made = {"recipe": recipe, "template": template, "keep": keep}
    how = {"method": method, "name": name, "replace": replace, "base": base}
    return begin(teach_request(notebook, **chosen, **made, **how, **settings), wait=wait)


def teach_request(notebook: Files = (), **choices: Any) -> TeachRequest:
    """Return the request that arguments of `teach` mean: all but `wait`. Raises LorebookError."""
    request = {field: read(choices.pop(name)) for name, (field, read) in _CHOICES.items() if name in choices}
    return TeachRequest(notebooks=file_paths(notebook), settings=train_settings(choices), **request)


def show_examples(request: TeachRequest) -> Preview:
    """Return the examples that a request would teach, and what training them would take. Raises LorebookError."""
    return reach().preview_teaching(request)


def begin(request: TeachRequest, *, wait: bool = True) -> Job:
    """Begin to teach what a request says; return the Job, shown to its end where `wait` is set."""
    client = reach()
    job = Job(client, client.teach(request))
    return job.watch() if wait else job


def train_settings(settings: Mapping[str, Any]) -> TrainSettings:
    """Return the settings of these names; raises BadRequest for a name that is none."""
    unknown = [name for name in settings if name not in TrainSettings.__dataclass_fields__]
    if unknown:
        known = ", ".join(TrainSettings.__dataclass_fields__)
        raise BadRequest(f"{unknown[0]} is no setting of training.", f"Settings are: {known}.")
    targets = settings.get("targets", TrainSettings.targets)
    return TrainSettings(**{**settings, "targets": _several(targets)})


def _several(value: str | Sequence[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def file_paths(files: Files) -> tuple[str, ...]:
    """Return the absolute paths of files; raises NotFound for one that is not there."""
    named = [files] if isinstance(files, str | Path) else list(files)
    paths = [Path(name).expanduser().absolute() for name in named]
    for path in paths:
        if not path.is_file():
            raise NotFound(f"{path} is not a file.", "Check the path.")
    return tuple(map(str, paths))


def _pairs(pairs: Pairs) -> tuple[Pair, ...]:
    items = pairs.items() if isinstance(pairs, Mapping) else pairs
    return tuple(Pair(question, answer) for question, answer in items)


def pairs_of(text: str, cell: str = "", path: str = "") -> tuple[Pair, ...]:
    """Return the pairs in the text of a `%%teach` cell: question, blank line, answer; `---` between several.

    `cell` is its id and `path` its notebook, where those are known. Raises BadRequest where a pair has no answer.
    """
    pairs = pairs_in(text)
    if not pairs or not all(pair.question and pair.answer for pair in pairs):
        told = "a cell that teaches holds a question, a blank line and the answer."
        raise BadRequest(told, "Several are parted by lines of ---")
    return tuple(replace(pair, cell=cell, path=path) for pair in pairs)


def _same(value: Any) -> Any:
    return value


_CHOICES: dict[str, tuple[str, Callable[[Any], Any]]] = {
    **{name: (name, _same) for name in ("cells", "whole", "approved", "recipe", "template", "method", "name")},
    "replace": ("replace", _same),
    "tag": ("tags", _several),
    "id": ("ids", _several),
    "data": ("data", file_paths),
    "pairs": ("pairs", _pairs),
    "base": ("base", find_model),
    "keep": ("keep", tuple),
}
"""Arguments of `teach` that are no settings of training: the field of a TeachRequest, and what makes it of them."""
