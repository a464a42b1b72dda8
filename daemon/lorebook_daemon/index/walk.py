"""Which files below a root are to be indexed."""

from __future__ import annotations

import os
import stat
import sys
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lorebook_api.errors import BadRequest, NotFound
from lorebook_api.home import find_home
from lorebook_api.indexing import Skipped
from lorebook_daemon.index.area import Area
from lorebook_daemon.index.ignore import MARKERS, Ignore, outer_rules
from lorebook_daemon.index.loaders import loader_for

MEGABYTE = 1024 * 1024

_VERSION_CONTROL = (".git", ".hg", ".svn", ".jj", ".bzr", "CVS")
_INSTALLED = ("node_modules", "bower_components", "site-packages", "dist-packages", ".venv", ".virtualenv", ".conda")
_PYTHON = ("__pycache__", ".eggs", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis", ".tox", ".nox")
_TOOLS = (".ipynb_checkpoints", ".import_linter_cache", ".pytype", ".pyre", ".cache", ".npm", ".yarn", ".pnpm-store")
_BUILDS = (".gradle", ".m2", ".cargo", ".rustup", ".terraform", ".next", ".nuxt", ".parcel-cache", ".turbo")
_DESKTOP = (
    ".local",
    ".Trash",
    ".idea",
    ".vscode",
    ".vscode-server",
    ".vs",
    "$RECYCLE.BIN",
    "System Volume Information",
)

OUTSIDE = frozenset((*_VERSION_CONTROL, *_INSTALLED, *_PYTHON, *_TOOLS, *_BUILDS, *_DESKTOP))
"""Folders that hold nobody's own work; `!name/` in a `.lorebookignore` forces one in."""


@dataclass(frozen=True, slots=True)
class FileStat:
    """A file to be indexed: `path` relative to the root, with `/`, in NFC; `file` as the system names it."""

    path: str
    file: str
    mtime_ns: int
    ctime_ns: int
    size: int

    @property
    def stamp(self) -> tuple[int, int, int]:
        """What tells a changed file; ctime also moves when an older file of the same size takes its place."""
        return self.mtime_ns, self.ctime_ns, self.size


@dataclass(frozen=True, slots=True)
class _Folder:
    """A folder still to be read. `closed`: left out but for what a `.lorebookignore` forces in."""

    path: str
    file: str
    ignore: Ignore
    closed: bool = False
    forced: bool = False


@dataclass(frozen=True, slots=True)
class _Bounds:
    """What holds for the whole walk; `own` are the folders where lorebook keeps its files, this index among them."""

    top: str
    max_file_mb: int
    own: frozenset[str]


def walk(root: Path, max_file_mb: int, area: Area | None = None) -> Iterator[FileStat | Skipped]:
    """Yield every file below `root` that is to be indexed, and those that cannot be, with why.

    Files that no loader reads, what ignore files leave out, and lorebook's own files are not mentioned. Links are not
    followed: what they lead to is indexed where it lies, if it lies below the root. With an `area`, only what lies
    there. Raises NotFound for a root that is not there or cannot be read, and BadRequest for one that is no folder.
    """
    for item in _visit(check_root(root), max_file_mb, area):
        if not isinstance(item, _Folder) and (area is None or area.covers(item.path)):
            yield item


def in_reach(root: Path, area: Area) -> bool:
    """Return whether some of the `area` may hold files to be indexed: False where ignore files leave all of it out.

    Raises as `walk` does.
    """
    top = check_root(root)
    return area.covers("") or any(isinstance(item, _Folder) and area.covers(item.path) for item in _visit(top, 0, area))


def _visit(top: Path, max_file_mb: int, area: Area | None) -> Iterator[FileStat | Skipped | _Folder]:
    """Yield folders as they are met, and what of them is to be read or cannot be; no others than those on the way."""
    home = find_home()
    own = frozenset(os.path.realpath(folder) for folder in (home.state, home.cache, home.models, home.runtime))
    bounds = _Bounds(str(top), max_file_mb, own)
    stack = [_Folder("", bounds.top, outer_rules(top))]
    while stack:
        folder = stack.pop()
        try:
            with os.scandir(folder.file) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            if not folder.path:  # to go on would empty the index of a folder that is only out of reach for now
                raise NotFound(f"{top} cannot be read ({error.strerror}).", "Check your rights to it.") from error
            yield Skipped(_shown(folder.path), f"the folder cannot be read: {error.strerror}")
            continue
        for item in _sift(folder, entries, bounds, area):
            if isinstance(item, _Folder):
                stack.append(item)
            yield item


def check_root(root: Path) -> Path:
    """Return `root` absolute and with links resolved. Raises NotFound or BadRequest where it is no folder."""
    try:
        top = root.expanduser().resolve()
        mode = top.stat().st_mode
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFound(f"{root} does not exist.", "Check the path: --root DIR names a folder.") from error
    except (OSError, RuntimeError, ValueError) as error:
        raise NotFound(f"{root} cannot be reached ({error}).", "Check the path and your rights to it.") from error
    if not stat.S_ISDIR(mode):
        raise BadRequest(f"{root} is a file, not a folder.", f"Name its folder: --root {top.parent}")
    return top


def _sift(
    folder: _Folder, entries: list[os.DirEntry[str]], bounds: _Bounds, area: Area | None
) -> Iterator[FileStat | Skipped | _Folder]:
    """Yield what of a folder's `entries` is read further; where the area is elsewhere, what lies on the way to it."""
    names = {entry.name for entry in entries}
    if folder.path and not folder.forced and not folder.closed and names & MARKERS:
        folder = _Folder(folder.path, folder.file, folder.ignore, closed=True)
        if not folder.ignore.opens(folder.path):
            return
    ignore = folder.ignore.within(folder.path, Path(folder.file), names)
    taken: set[str] = set()
    if area is not None and not area.holds(_shown(folder.path)):
        entries = [entry for entry in entries if area.leads(_shown(folder.path + entry.name) + "/")]
    for entry in entries:
        try:
            item = _judge(folder, entry, ignore, bounds)
        except OSError as error:
            item = Skipped(_shown(folder.path + entry.name), f"cannot be read: {error.strerror}")
        if isinstance(item, FileStat):
            if item.path in taken:
                item = Skipped(item.path, "another file's name differs from its name only in how accents are written")
            else:
                taken.add(item.path)
        if item is not None:
            yield item


def _judge(
    folder: _Folder, entry: os.DirEntry[str], ignore: Ignore, bounds: _Bounds
) -> FileStat | Skipped | _Folder | None:
    """Return what becomes of one entry; None where it is left out without a word."""
    path = folder.path + entry.name
    is_folder = entry.is_dir(follow_symlinks=False)
    if _is_link(entry):
        return _judge_link(entry, path, ignore, folder.closed, bounds.top)
    if is_folder:
        return None if entry.path in bounds.own else _judge_folder(folder, entry, path + "/", ignore)
    if loader_for(Path(entry.name)) is None or _left_out(path, ignore, folder.closed):
        return None
    return _judge_file(entry, path, bounds.max_file_mb)


def _judge_folder(folder: _Folder, entry: os.DirEntry[str], path: str, ignore: Ignore) -> _Folder | None:
    forced = folder.forced or ignore.forces(path)
    closed = not forced and (folder.closed or entry.name in OUTSIDE or ignore.ignores(path))
    if closed and not ignore.opens(path):
        return None
    return _Folder(path, entry.path, ignore, closed, forced)


def _judge_file(entry: os.DirEntry[str], path: str, max_file_mb: int) -> FileStat | Skipped | None:
    found = entry.stat(follow_symlinks=False)
    if not stat.S_ISREG(found.st_mode):
        return None
    shown = _shown(path)
    if shown != unicodedata.normalize("NFC", path):
        return Skipped(shown, "its name is not UTF-8")
    if found.st_size > max_file_mb * MEGABYTE:
        return Skipped(shown, f"{found.st_size / MEGABYTE:.0f} MB, above max_file_mb = {max_file_mb}")
    return FileStat(shown, entry.path, found.st_mtime_ns, found.st_ctime_ns, found.st_size)


def _judge_link(entry: os.DirEntry[str], path: str, ignore: Ignore, closed: bool, top: str) -> Skipped | None:
    """Return a word on a link that the person may miss: it leads to something that no other path here leads to."""
    is_folder = entry.is_dir() if _resolves(entry) else False
    if _left_out(path + "/" if is_folder else path, ignore, closed) or entry.name in OUTSIDE:
        return None
    if not is_folder and loader_for(Path(entry.name)) is None:
        return None
    if not _resolves(entry):
        return Skipped(_shown(path), "a link that leads nowhere")
    target = os.path.realpath(entry.path)
    inside = target == top or target.startswith(top.rstrip(os.sep) + os.sep)
    return None if inside else Skipped(_shown(path), "a link that leads out of the root")


def _resolves(entry: os.DirEntry[str]) -> bool:
    try:
        entry.stat()
    except OSError:
        return False
    return True


def _left_out(path: str, ignore: Ignore, closed: bool) -> bool:
    return not ignore.forces(path) if closed else ignore.ignores(path)


def _is_link(entry: os.DirEntry[str]) -> bool:
    """Windows' junctions are links in all but name, and can go round in circles as well."""
    if entry.is_symlink():
        return True
    if sys.platform == "win32":
        return entry.stat(follow_symlinks=False).st_reparse_tag == stat.IO_REPARSE_TAG_MOUNT_POINT
    return False


def _shown(path: str) -> str:
    """Return the path in NFC, with what is not UTF-8 replaced."""
    return unicodedata.normalize("NFC", os.fsencode(path).decode("utf-8", "replace"))
