"""Models of their own that were taught here: `models/NAME.gguf`, found by that name like any other, and its card."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from lorebook_api.errors import Conflict, StorageFailed
from lorebook_api.home import Home
from lorebook_daemon.models.json_file import read_object

MODEL = "model.gguf"
"""The file's name in the folder of the job that makes it."""


def model_names(home: Home) -> tuple[str, ...]:
    """Return the names that models in lorebook's own folder have."""
    return tuple(path.stem for path in sorted(home.models.glob("*.gguf")))


def model_card(path: Path) -> Path:
    """Return where the card of a model that was taught here lies, by the model's own file."""
    return path.with_suffix(".card.json")


def taught_models(home: Home) -> tuple[tuple[str, dict[str, Any]], ...]:
    """Return the models that were taught here, by name, with their cards."""
    cards = ((name, read_object(model_card(home.models / f"{name}.gguf"))) for name in model_names(home))
    return tuple((name, card) for name, card in cards if card)


def keep_model(folder: Path, name: str, home: Home) -> Path:
    """Move a job's model to where its name finds it, and copy its card beside it; return where it is.

    It appears whole or not at all. Raises Conflict for a name in use, StorageFailed.
    """
    target = home.models / f"{name}.gguf"
    if name.casefold() in {one.casefold() for one in model_names(home)}:
        raise Conflict(f"There is a model {name} already.", f"Delete it: lorebook models rm {name}")
    fresh = target.with_name(f".{target.name}.part")
    try:
        shutil.copyfile(folder / "card.json", model_card(target))
        shutil.move(folder / MODEL, fresh)
        fresh.replace(target)
    except OSError as error:
        told = f"The model {name} cannot be kept ({error.strerror or error})."
        raise StorageFailed(told, "Free some space, then: lorebook jobs resume") from error
    return target
