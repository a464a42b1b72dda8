"""What a person has typed and not saved: it stands in the index in place of the file, until that is saved or closed."""

from __future__ import annotations

import hashlib
import json
import shutil
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from lorebook_daemon.index.storage import storage
from lorebook_daemon.index.walk import FileStat

_FOLDER = "unsaved"


@dataclass(frozen=True)
class Unsaved:
    """The contents of one editor, and the stamp of the file below it (see `FileStat.stamp`) when they were told."""

    path: str
    on_disk: tuple[int, int, int]
    typed_ns: int
    text: str

    @property
    def data(self) -> bytes:
        """The contents as a file would hold them."""
        return self.text.encode("utf-8", "replace")

    def over(self, stat: FileStat) -> FileStat:
        """Return `stat` with a stamp of these contents; as it is where the file was saved since, which ends them."""
        if stat.stamp != self.on_disk:
            return stat
        # No file system gives a ctime below zero: the file itself, come back, always counts as changed.
        return replace(stat, mtime_ns=self.typed_ns, ctime_ns=-1, size=len(self.text))


def keep_unsaved(folder: Path, unsaved: Unsaved) -> None:
    """Keep the contents of a file in the index in `folder`; raises StorageFailed where it cannot be written."""
    body = {"path": unsaved.path, "on_disk": unsaved.on_disk, "typed_ns": unsaved.typed_ns, "text": unsaved.text}
    file = _file(folder, unsaved.path)
    with storage(folder):
        file.parent.mkdir(exist_ok=True, mode=0o700)
        part = file.with_suffix(".part")
        part.write_text(json.dumps(body), encoding="ascii")
        part.replace(file)


def drop_unsaved(folder: Path, path: str) -> bool:
    """Forget the contents of a file; return whether there were any."""
    file = _file(folder, path)
    with storage(folder):
        there = file.is_file()
        file.unlink(missing_ok=True)
    return there


def drop_all_unsaved(folder: Path) -> None:
    """Forget what was typed while an earlier daemon ran: the editors may have been closed since."""
    with suppress(OSError):
        shutil.rmtree(folder / _FOLDER)


def unsaved_in(folder: Path) -> dict[str, Unsaved]:
    """Return what is kept, by path; what cannot be read is left out, the file on disk then stands for itself."""
    found = {}
    for file in sorted((folder / _FOLDER).glob("*.json")):
        with suppress(OSError, ValueError, KeyError, TypeError):
            body = json.loads(file.read_text(encoding="ascii"))
            mtime, ctime, size = body["on_disk"]
            path, typed = str(body["path"]), int(body["typed_ns"])
            found[path] = Unsaved(path, (int(mtime), int(ctime), int(size)), typed, str(body["text"]))
    return found


def _file(folder: Path, path: str) -> Path:
    return folder / _FOLDER / f"{hashlib.sha256(path.encode()).hexdigest()[:32]}.json"
