"""The LoRA adapters in lorebook's own folder: `models/adapters/NAME.gguf`."""

from __future__ import annotations

import contextlib
import difflib
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from filelock import FileLock

from lorebook_api.errors import BadRequest, Conflict, NotFound, StorageFailed, Unusable
from lorebook_api.home import Home
from lorebook_api.state import AdapterInfo
from lorebook_daemon.models.adapter_file import check_numbers, read_adapter
from lorebook_daemon.models.json_file import read_object

_SUFFIX = ".gguf"
_NAME = re.compile(r"\w[\w.+-]{0,99}")
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
"""Names that Windows keeps for devices."""
_SEE = "See `lorebook adapters list`."


def adapters_folder(home: Home) -> Path:
    """Return the folder of the adapters' files; it may not be there yet."""
    return home.models / "adapters"


def card_file(home: Home, name: str) -> Path:
    """Return where the card of an adapter that was trained here lies: how it was made, as JSON."""
    return adapters_folder(home) / f"{name}.json"


def peft_folder(home: Home, name: str) -> Path:
    """Return where an adapter that was trained here lies in PEFT's form."""
    return adapters_folder(home) / f"{name}.peft"


def earlier_folder(home: Home, name: str) -> Path:
    """Return where the version before the present one lies, see `versions`; it may not be there."""
    return adapters_folder(home) / f"{name}.earlier"


def aside_folder(home: Home, name: str) -> Path:
    """Return where the present version lies while it changes places with the earlier one."""
    return adapters_folder(home) / f"{name}.aside"


def earlier_name(name: str, home: Home) -> str:
    """Return a name, in any case, as the version before the present one has it; empty where there is none."""
    return next((one for one in earlier_names(home) if one.casefold() == name.casefold()), "")


def earlier_names(home: Home) -> tuple[str, ...]:
    """Return the names under which a version lies that is not the present one."""
    there = {path.stem for end in ("earlier", "aside") for path in adapters_folder(home).glob(f"*.{end}")}
    return tuple(sorted(there))


def discard(folder: Path) -> None:
    """Delete a version's folder, which is gone at once: half deleted it would look as if a kill had cut it short."""
    gone = folder.with_name(f".{folder.name}.gone")
    shutil.rmtree(gone, ignore_errors=True)
    if folder.is_dir():
        folder.replace(gone)
        shutil.rmtree(gone, ignore_errors=True)


def adapter_names(home: Home) -> tuple[str, ...]:
    """Return the adapters' names in order, without a look into their files."""
    return tuple(sorted(_files(home)))


def list_adapters(home: Home) -> tuple[AdapterInfo, ...]:
    """Return the adapters in the order of their names; one that cannot be used says why in `damaged`."""
    return tuple(_described(path, name) for name, path in sorted(_files(home).items()))


def find_adapter(name: str, home: Home) -> AdapterInfo:
    """Return the adapter that a name, in any case, or the path of a GGUF file means; it may be `damaged`.

    Raises NotFound, which names the nearest ones.
    """
    path = _as_path(name)
    if path is not None:
        return _described(path, path.stem)
    files = _files(home)
    known = _known(name, files, home)
    return _described(files[known], known)


def import_adapter(path: Path, home: Home, name: str = "") -> AdapterInfo:
    """Copy the adapter at `path` into the folder, under its file's name where none is given.

    Raises NotFound, Unusable for what is no whole adapter, BadRequest for a bad name, Conflict where the name is
    taken, StorageFailed. The file appears whole or not at all.
    """
    if not _is_file(path):
        raise NotFound(f"There is no file at {path}.", "Name a GGUF file: lorebook adapters import FILE")
    read_adapter(path)
    check_numbers(path)
    name = name or path.stem
    check_adapter_name(name)
    folder = adapters_folder(home)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with FileLock(folder / ".lock"):
            return _copy(path, name, home)
    except OSError as error:
        hint = "Free some space, or set LOREBOOK_HOME."
        raise StorageFailed(f"{path.name} cannot be copied to {folder} ({error.strerror or error}).", hint) from error


def export_adapter(adapter: AdapterInfo, target: Path) -> Path:
    """Copy the adapter's file to `target`, or into the folder that it is; return where it is now.

    Raises Conflict where there is a file already, NotFound without the folder to put it in, StorageFailed.
    """
    target = target / f"{adapter.name}{_SUFFIX}" if target.is_dir() else target
    if target.exists():
        raise Conflict(f"{target} is there already.", "Name another file, or delete that one.")
    if not target.parent.is_dir():
        raise NotFound(f"There is no folder {target.parent}.", "Make it, or name another file.")
    try:
        _place(Path(adapter.path), target)
    except OSError as error:
        hint = "Free some space, or name another folder."
        raise StorageFailed(f"{target} cannot be written ({error.strerror or error}).", hint) from error
    return target


def remove_adapter(name: str, home: Home) -> AdapterInfo:
    """Delete an adapter of the folder, its card and its earlier version; return what it was.

    Raises NotFound, and Conflict where it cannot.
    """
    files = _files(home)
    known = _known(name, files, home)
    was = _described(files[known], known)
    try:
        for folder in (earlier_folder(home, known), aside_folder(home, known)):
            discard(folder)  # first: without the adapter they would be what a kill left, and brought back
        files[known].unlink()
        card_file(home, known).unlink(missing_ok=True)
    except OSError as error:
        raise Conflict(f"{was.path} cannot be deleted ({error.strerror or error}).", "Is it open elsewhere?") from error
    shutil.rmtree(peft_folder(home, known), ignore_errors=True)
    return was


def _files(home: Home) -> dict[str, Path]:
    """Return the adapters' files by name."""
    folder = adapters_folder(home)
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    files: dict[str, Path] = {}
    for path in paths:
        if path.suffix.lower() == _SUFFIX and not path.name.startswith(".") and path.is_file():
            files.setdefault(path.stem, path)
    return files


def _known(name: str, files: Mapping[str, Path], home: Home) -> str:
    """Return the name as it is written in the folder; raises NotFound."""
    if name in files:
        return name
    for other in files:
        if other.casefold() == name.casefold():
            return other
    if aside := earlier_name(name, home):
        told = f"There is no adapter {name!r}: what was to take its place did not come to its end."
        raise NotFound(told, f"Put the one before it back: lorebook adapters rollback {aside}")
    raise _not_found(name, tuple(files))


def _described(path: Path, name: str) -> AdapterInfo:
    card = read_object(path.with_name(f"{path.stem}.json"))
    try:
        return replace(read_adapter(path, name), status=card.get("status", ""), reason=card.get("reason", ""))
    except Unusable as error:
        return AdapterInfo(name, str(path), path.stat().st_size if path.is_file() else 0, damaged=error.message)


def _as_path(name: str) -> Path | None:
    """Return the file that `name` is the path of, None where it is no path; raises NotFound for one to nothing."""
    path = Path(name)
    with contextlib.suppress(RuntimeError, ValueError):  # a user that nobody knows, a NUL
        path = path.expanduser()
    if path.suffix.lower() != _SUFFIX and not path.is_absolute():
        return None
    if not _is_file(path):
        raise NotFound(f"There is no adapter at {path.absolute()}.", _SEE)
    return path.absolute()


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long, a folder that may not be looked into
        return False


def _not_found(name: str, names: tuple[str, ...]) -> NotFound:
    folded = {other.casefold(): other for other in names}
    near = [folded[other] for other in difflib.get_close_matches(name.casefold(), folded)]
    guess = f" Did you mean {' or '.join(near)}?" if near else ""
    return NotFound(f"There is no adapter {name!r}.{guess}", _SEE)


def check_adapter_name(name: str) -> None:
    """Raise BadRequest for what cannot be the name of a file everywhere, or could not be typed as NAME:SCALE."""
    if not _NAME.fullmatch(name) or name.endswith(".") or _RESERVED.fullmatch(name):
        raise BadRequest(
            f"{name[:100]!r} cannot be an adapter's name.",
            "Give one of letters, digits, '-', '_', '+' and '.': lorebook adapters import FILE --name NAME",
        )


def _copy(path: Path, name: str, home: Home) -> AdapterInfo:
    taken = next((other for other in _files(home) if other.casefold() == name.casefold()), None)
    if taken is not None:
        hint = "Give it another name with --name, or delete the old one: lorebook adapters rm " + taken
        raise Conflict(f"There is an adapter {taken} already.", hint)
    target = adapters_folder(home) / f"{name}{_SUFFIX}"
    _place(path, target, read_adapter)
    return read_adapter(target, name)


def _place(path: Path, target: Path, check: Callable[[Path], object] = lambda copied: None) -> None:
    """Copy a file so that it appears whole or not at all; `check` looks at the copy before."""
    with tempfile.TemporaryDirectory(prefix=".", dir=target.parent) as place:
        fresh = Path(place, path.name)
        shutil.copyfile(path, fresh)
        check(fresh)
        fresh.replace(target)
