"""A file that grows from its start until it is whole, across interruptions, whoever brings the bytes."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

from lorebook_api.errors import StorageFailed, Unusable
from lorebook_daemon.models.catalogue import KnownFile

_CHUNK = 2**20
_FULL = (errno.ENOSPC, errno.EDQUOT)


class Partial:
    """The start of a known file, kept as `<final name>.part`, with the SHA-256 of what is there.

    Its length is all there is to remember: every place holds the same bytes, so one place goes on where another
    stopped. A context manager; leaving it keeps what has come.
    """

    def __init__(self, final: Path, file: KnownFile) -> None:
        self.path = final.with_name(f"{final.name}.part")
        self._final = final
        self._file = file
        self.size = 0
        """Bytes that are there."""

    def __enter__(self) -> Self:
        with self.storage():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._stream = self.path.open("ab")
            self.size = self.path.stat().st_size
        self._sum = hashlib.sha256()
        return self

    def __exit__(self, *error: object) -> None:
        with contextlib.suppress(OSError):  # a full disk was told of when the bytes were appended
            self._stream.close()

    def read_again(self, report: Callable[[int], None]) -> None:
        """Take the bytes of an earlier start into the checksum; `report` is told how many were read."""
        if self.size > self._file.size:
            self.cut(0)
        self._sum = hashlib.sha256()
        done = 0
        with self.path.open("rb") as stream:
            while chunk := stream.read(min(_CHUNK, self.size - done)):
                self._sum.update(chunk)
                done += len(chunk)
                report(done)

    def append(self, data: bytes) -> None:
        """Add `data` at the end; raises StorageFailed, after which what fitted is kept."""
        with self.storage():
            self._stream.write(data)
            self._stream.flush()
        self._sum.update(data)
        self.size += len(data)

    def cut(self, size: int) -> None:
        """Forget everything after the first `size` bytes."""
        with self.storage():
            self._stream.truncate(size)
        self.size = size
        self.read_again(lambda done: None)

    def finish(self) -> None:
        """Give the file its final name; raises Unusable, and removes it, where its bytes are not the known ones."""
        if self.size != self._file.size or self._sum.hexdigest() != self._file.sha256:
            self._stream.close()
            self.path.unlink()
            raise Unusable(
                f"{self._final.name} came with other bytes than it should have (SHA-256 differs) and was removed.",
                "Bring it again: the command that brought it starts anew.",
            )
        with self.storage():
            os.fsync(self._stream.fileno())
            self._stream.close()
            self.path.replace(self._final)

    @contextlib.contextmanager
    def storage(self) -> Iterator[None]:
        """Turn an OSError inside into StorageFailed."""
        try:
            yield
        except OSError as error:
            raise self.storage_failed(error) from error

    def storage_failed(self, error: OSError) -> StorageFailed:
        """Return what to tell the person when the disk did not take the bytes."""
        folder = self.path.parent
        if error.errno not in _FULL:
            return StorageFailed(f"{folder} cannot be written ({error.strerror or error}).", "Set LOREBOOK_HOME.")
        kept = f"{self.size / 1e6:.0f} of {self._file.size / 1e6:.0f} MB of {self._final.name} are kept"
        return StorageFailed(
            f"The disk that holds {folder} is full; {kept}.",
            "Free some space and type the same again, or set LOREBOOK_HOME to a folder on another disk.",
        )
