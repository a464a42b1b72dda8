"""Models that were made here from others, known by their weights: their files may have moved, or gone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorebook_api.errors import Unusable
from lorebook_api.home import Home
from lorebook_daemon.models.identity import identity
from lorebook_daemon.models.json_file import change_object, read_object
from lorebook_daemon.models.taught import taught_models


@dataclass(frozen=True)
class Made:
    """A model that was taught here, or into which an adapter was merged."""

    sha256: str
    name: str
    path: Path
    base: str
    """The sha256 of the model that it was made from."""
    cells: tuple[dict[str, str], ...]
    """What its own training learnt from: `path` and `cell` of each. What its base learnt from is not repeated."""
    own: bool = False
    """Whether it is there, in lorebook's own folder, with its card; else its file is a person's, or gone."""


def note_made(home: Home, path: Path, sha256: str, base: str, cells: Sequence[dict[str, Any]]) -> None:
    """Remember a model that is made, at `path`; raises StorageFailed."""
    places = [{"path": cell.get("path", ""), "cell": cell.get("cell", "")} for cell in cells]
    told = {"path": str(path), "base": base, "cells": [place for place in places if any(place.values())]}
    change_object(_ledger(home), lambda known: known.update({sha256: told}))


def made_models(home: Home) -> tuple[Made, ...]:
    """Return all models that were made here, those that are gone too; raises Unusable where one cannot be read."""
    made = {sha256: _made(sha256, told) for sha256, told in read_object(_ledger(home)).items()}
    for name, card in taught_models(home):
        path = home.models / f"{name}.gguf"
        sha256 = identity(path, home)
        base = str(card.get("base", {}).get("sha256", ""))
        made[sha256] = Made(sha256, name, path, base, tuple(card.get("cells", ())), own=True)
    return tuple(made.values())


def is_there(made: Made, home: Home) -> bool:
    """Return whether a model still lies where it was made."""
    try:
        return made.path.is_file() and identity(made.path, home) == made.sha256
    except Unusable:
        return False


def _made(sha256: str, told: dict[str, Any]) -> Made:
    path = Path(told["path"])
    return Made(sha256, path.stem, path, told["base"], tuple(told["cells"]))


def _ledger(home: Home) -> Path:
    return home.models / "made.json"
