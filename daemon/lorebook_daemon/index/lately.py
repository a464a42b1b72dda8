"""What happened to a root's passages lately: which are new, which stand in one file, and which went."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from lorebook_api.errors import Conflict, NotFound, StorageFailed
from lorebook_daemon.index.passage import Passage
from lorebook_daemon.index.records import FORMAT, Gone
from lorebook_daemon.index.storage import DATABASE, LOCK, Damaged, storage
from lorebook_daemon.index.stores import Store, choice, open_store

T = TypeVar("T")

_GONE_AT_ONCE = 500


def index_folders(cache: Path) -> list[Path]:
    """Return the folders of all indexes below `cache` (of `Home`)."""
    mark = DATABASE if choice(cache / "index").store == "sqlite" else LOCK
    return sorted(file.parent for file in (cache / "index").glob(f"*/{mark}"))


def cut_cache(cache: Path, splitter: str) -> Path:
    """Return the folder below `cache` for indexes whose files are cut by another splitter than the daemon's."""
    return cache / "splitters" / splitter.replace(":", "-")


def cut_caches(cache: Path) -> list[Path]:
    """Return those of such folders that are there."""
    return sorted((cache / "splitters").glob("*"))


def recent_passages(folder: Path, since_ns: int, most: int) -> list[tuple[int, Passage]]:
    """Return at most `most` passages of files changed since, the latest first, with the time of the change (ns)."""
    return _read(folder, lambda store: store.recent(since_ns, most), [])


def passages_of(folder: Path, path: str) -> list[Passage]:
    """Return a file's passages in order, none where the index has none."""
    return _read(folder, lambda store: store.passages_of(path), [])


def gone_passages(folder: Path) -> Gone | None:
    """Return passages that went, some hundreds at a time; None where all were settled.

    What an update took out is listed together with the update itself, and stays until `settle`, whoever is killed.
    """
    return _read(folder, lambda store: store.gone(_GONE_AT_ONCE), None)


def settle(folder: Path, gone: Gone) -> bool:
    """Note that nothing is left of these passages; False where the index is being written or cannot be now."""
    try:
        with storage(folder), contextlib.closing(open_store(folder)) as store:
            with store.transaction():
                if store.found_format() == FORMAT:
                    store.settle(gone)
            store.empty_log()
    except (Conflict, StorageFailed, Damaged, NotFound):
        return False
    return True


def _read(folder: Path, use: Callable[[Store], T], nothing: T) -> T:
    """Return what `use` makes of the index; `nothing` where there is none, or a damaged one, to be made anew."""
    try:
        with storage(folder), contextlib.closing(open_store(folder)) as store:
            return use(store) if store.found_format() == FORMAT else nothing
    except (NotFound, Damaged, StorageFailed, Conflict):
        return nothing
