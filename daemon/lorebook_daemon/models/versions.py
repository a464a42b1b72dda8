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
from lorebook_daemon.models.adapters import (
    adapter_names,
    adapters_folder,
    aside_folder,
    card_file,
    discard,
    earlier_folder,
    earlier_name,
    earlier_names,
    find_adapter,
    peft_folder,
)
from lorebook_daemon.models.json_file import change_object, read_object

CANDIDATE, ACTIVE = "candidate", "active"


def set_aside(name: str, home: Home) -> None:
    """Make the present version the earlier one; the name is free then. Raises StorageFailed."""
    earlier, places = earlier_folder(home, name), _places(home, name)
    with _changing(home):
        discard(earlier)
        try:
            _move(places, _inside(earlier))
        except OSError:
            _bring_back(earlier, places)
            raise


def put_back(name: str, home: Home) -> None:
    """Undo `set_aside`, where what was to take the name could not. Raises StorageFailed."""
    earlier = earlier_folder(home, name)
    with _changing(home):
        _bring_back(earlier, _places(home, name))


def earlier_card(name: str, home: Home) -> dict[str, Any]:
    """Return the card of the earlier version; empty where there is none."""
    return read_object(_inside(earlier_folder(home, name))[1])


def drop_earlier(name: str, home: Home) -> None:
    """Delete the earlier version, to which nothing leads back then. Raises StorageFailed."""
    earlier = earlier_folder(home, name)
    with _changing(home):
        discard(earlier)


def finish_changes(home: Home) -> None:
    """Finish every change of versions that a kill cut short, and delete what is left of adapters that are not there.

    For a daemon that begins: what another thread is changing right now looks as if it was cut short. Raises
    StorageFailed.
    """
    folder = adapters_folder(home)
    if not folder.is_dir():
        return
    for name in earlier_names(home):
        _mend(name, home)
    known = {*adapter_names(home), *earlier_names(home)}
    with _changing(home):
        _delete(tuple(path for path in folder.glob(".*") if path.is_dir()))  # copies, and what was being deleted
        for end in (".json", ".peft"):
            _delete(tuple(path for path in folder.glob(f"*{end}") if path.name.removesuffix(end) not in known))


def roll_back(name: str, home: Home) -> AdapterInfo:
    """Put the earlier version in the present one's place, which becomes the earlier one; return what is there now.

    Where a change of versions was cut short by a kill, the one that lost its place gets it back. Without an earlier
    version the adapter becomes a candidate. Raises NotFound, StorageFailed, and Conflict for a candidate without an
    earlier version.
    """
    aside = earlier_name(name, home)
    if aside and _mend(aside, home):
        return find_adapter(aside, home)
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
    aside = aside_folder(home, name)
    with _changing(home):
        discard(aside)
        _move(_places(home, name), _inside(aside))
        _move(_inside(earlier), _places(home, name))
        discard(earlier)
        aside.replace(earlier)


def _mend(name: str, home: Home) -> bool:
    """Finish a change that a kill cut short, wherever that was; return whether the name had no adapter until now."""
    places, earlier, aside = _places(home, name), earlier_folder(home, name), aside_folder(home, name)
    there = places[-1].is_file()
    with _changing(home):
        if not there and not _whole(earlier):
            return False
        if not there and not aside.is_dir():  # what was to take its place did not get as far as its file
            _delete(places)
            _bring_back(earlier, places)
        elif not there or _whole(aside):
            _move(_inside(earlier), places)
            discard(earlier)
            aside.replace(earlier)
        else:
            for half in (aside, earlier):
                if half.is_dir() and not _whole(half):
                    _bring_back(half, places)
    return not there


def _whole(folder: Path) -> bool:
    return _inside(folder)[-1].is_file()


def _bring_back(folder: Path, places: tuple[Path, ...]) -> None:
    """Move what a folder holds to its places, the adapter first: what is left shows then that this was cut short."""
    _move(_inside(folder)[::-1], places[::-1])
    discard(folder)


def _delete(places: tuple[Path, ...]) -> None:
    for path in places:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


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
