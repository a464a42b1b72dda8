"""The version of an adapter before the present one, so that one step leads back to it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

from lorebook_api.errors import Conflict, StorageFailed
from lorebook_api.home import Home
from lorebook_api.state import AdapterInfo
from lorebook_daemon.models.adapters import adapters_folder, card_file, earlier_folder, find_adapter, peft_folder
from lorebook_daemon.models.json_file import change_object, read_object

CANDIDATE, ACTIVE = "candidate", "active"


def set_aside(name: str, home: Home) -> None:
    """Make the present version the earlier one; the name is free then. Raises StorageFailed."""
    earlier = earlier_folder(home, name)
    with _changing(home):
        shutil.rmtree(earlier, ignore_errors=True)
        _move(_places(home, name), _inside(earlier))


def put_back(name: str, home: Home) -> None:
    """Undo `set_aside`, where what was to take the name could not. Raises StorageFailed."""
    earlier = earlier_folder(home, name)
    with _changing(home):
        _move(_inside(earlier), _places(home, name))
        shutil.rmtree(earlier, ignore_errors=True)


def earlier_card(name: str, home: Home) -> dict[str, Any]:
    """Return the card of the earlier version; empty where there is none."""
    return read_object(_inside(earlier_folder(home, name))[1])


def drop_earlier(name: str, home: Home) -> None:
    """Delete the earlier version, to which nothing leads back then. Raises StorageFailed."""
    earlier = earlier_folder(home, name)
    with _changing(home):
        if earlier.is_dir():
            shutil.rmtree(earlier)


def roll_back(name: str, home: Home) -> AdapterInfo:
    """Put the earlier version in the present one's place, which becomes the earlier one; return what is there now.

    Without an earlier version the adapter becomes a candidate. Raises NotFound, StorageFailed, and Conflict for a
    candidate without an earlier version.
    """
    adapter = find_adapter(name, home)
    if Path(adapter.path).parent != adapters_folder(home):
        raise Conflict(f"{adapter.path} is not in lorebook's folder.", "See `lorebook adapters list`.")
    earlier = earlier_folder(home, adapter.name)
    if earlier.is_dir():
        _swap(adapter.name, home, earlier)
    elif adapter.status == ACTIVE:
        change_object(
            card_file(home, adapter.name), lambda card: card.update(status=CANDIDATE, reason="It was rolled back.")
        )
    else:
        told = f"{adapter.name} has no earlier version, and is not active."
        raise Conflict(told, f"Delete it: lorebook adapters rm {adapter.name}")
    return find_adapter(adapter.name, home)


def _swap(name: str, home: Home, earlier: Path) -> None:
    aside = earlier.with_suffix(".aside")
    with _changing(home):
        shutil.rmtree(aside, ignore_errors=True)
        _move(_places(home, name), _inside(aside))
        _move(_inside(earlier), _places(home, name))
        shutil.rmtree(earlier)
        aside.replace(earlier)


def _places(home: Home, name: str) -> tuple[Path, ...]:
    """Return what an adapter consists of; the file by which it is known comes last."""
    return peft_folder(home, name), card_file(home, name), adapters_folder(home) / f"{name}.gguf"


def _inside(folder: Path) -> tuple[Path, ...]:
    return folder / "peft", folder / "card.json", folder / "adapter.gguf"


def _move(sources: tuple[Path, ...], targets: tuple[Path, ...]) -> None:
    for source, target in zip(sources, targets, strict=True):
        if source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            source.replace(target)


@contextmanager
def _changing(home: Home) -> Iterator[None]:
    """Let one process at a time move files here; what the system refuses becomes StorageFailed."""
    folder = adapters_folder(home)
    try:
        with FileLock(folder / ".lock"):
            yield
    except OSError as error:
        told = f"The adapter's files in {folder} cannot be moved ({error.strerror or error})."
        raise StorageFailed(told, "Is one of them open elsewhere?") from error
