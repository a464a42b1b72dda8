"""What happens to the files below a root: told by the system where it tells, looked for where it does not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path

import psutil
from watchfiles import Change, awatch

from lorebook_daemon.index.area import inside
from lorebook_daemon.index.ignore import GIT_FILE, OWN_FILE
from lorebook_daemon.index.loaders import loader_for
from lorebook_daemon.index.walk import OUTSIDE

Paths = frozenset[str]
"""Paths relative to the root, with `/`: files or folders to which something happened."""

Batches = AsyncGenerator[Paths | None, None]
"""What happened since the batch before; None says that it may have been anything, anywhere."""

Say = Callable[[str], None]
"""Takes a sentence for whoever watches: the root is gone, or is not watched but looked through."""

_STEP_MS = 50
"""A batch ends once nothing happened for so long,"""
_DEBOUNCE_MS = 400
"""or after so long where something happens all the time."""
_GLANCE_MS = 1000
"""So often it is looked whether the root is still there."""
_MANY = 500
"""From so many paths on, looking everywhere costs less; and the system may have lost some that came with them."""
_LOOK_S = 5.0
_BACK_S = 1.0

_SILENT = frozenset(
    {
        *("9p", "afs", "cifs", "drvfs", "fuse.sshfs", "nfs", "nfs4", "prl_fs", "smb3", "smbfs", "vboxsf", "virtiofs"),
        *("vmhgfs", "fuse.vmhgfs-fuse", "webdav", "davfs"),
    }
)
"""File systems that others change from elsewhere: their events, where there are any, tell of our own changes only."""


async def watch(root: Path, say: Say) -> Batches:
    """Yield what happens below `root` for ever, by events where the system sends them.

    While the root is not there, renamed or unmounted, nothing is yielded; once it is back, None is.
    """
    while True:
        way = by_looking if kind_of(root) in _SILENT else by_events
        if way is by_looking:
            say(f"{root} is on a disk that does not tell of changes; it is looked through every {_LOOK_S:.0f} s.")
        try:
            async with aclosing(way(root)) as batches:
                async for batch in batches:
                    yield batch
        except (OSError, RuntimeError) as error:  # RuntimeError: what watchfiles has no name for
            if _identity(root):  # as where the system's bound of watched folders is reached
                say(f"{root} cannot be watched ({error}); it is looked through every {_LOOK_S:.0f} s.")
                async with aclosing(by_looking(root)) as batches:
                    async for batch in batches:
                        yield batch
        say(f"{root} is not what it was: renamed, deleted or unmounted. Its index is kept.")
        while not _identity(root):
            await asyncio.sleep(_BACK_S)
        say(f"{root} is back.")


async def by_events(root: Path) -> Batches:
    """Yield what the system tells of, None first, until the root is no longer what it was.

    Raises OSError where it cannot be watched.
    """
    identity, first = _identity(root), True
    changes = awatch(
        root,
        watch_filter=lambda change, path: _matters(root, change, path),
        debounce=_DEBOUNCE_MS,
        step=_STEP_MS,
        rust_timeout=_GLANCE_MS,
        yield_on_timeout=True,
        ignore_permission_denied=True,
    )
    async with aclosing(changes) as batches:
        async for batch in batches:
            if _identity(root) != identity:
                return
            paths = [inside(root, path) for _, path in batch]
            known = frozenset(path for path in paths if path is not None)
            if first or len(paths) > _MANY or None in paths:
                first = False
                yield None
            elif known:
                yield known


async def by_looking(root: Path) -> Batches:
    """Yield None every few seconds, until the root is no longer what it was."""
    identity = _identity(root)
    while _identity(root) == identity:
        yield None
        await asyncio.sleep(_LOOK_S)


def kind_of(root: Path) -> str:
    """Return the name of the file system that holds `root`, in lower case; empty where the system does not tell."""
    best = ("", "")
    try:
        for part in psutil.disk_partitions(all=True):
            if root.is_relative_to(part.mountpoint) and len(part.mountpoint) >= len(best[0]):
                best = (part.mountpoint, part.fstype.lower())
    except OSError:
        return ""
    return best[1]


def _matters(root: Path, change: Change, path: str) -> bool:
    """Return whether something that happened to `path` may change an index: cheap, and asked for every event."""
    relative = inside(root, path)
    if relative is None or relative == ".":
        return True
    *folders, name = relative.split("/")
    if not OUTSIDE.isdisjoint(folders) or name in OUTSIDE:
        return relative.endswith(".git/info/exclude")
    if change is Change.deleted or name in (GIT_FILE, OWN_FILE):
        return True
    return loader_for(Path(name)) is not None or not Path(path).is_file()


def _identity(root: Path) -> tuple[int, int] | None:
    """Return what tells this folder from another in its place; None where there is none."""
    try:
        found = root.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
