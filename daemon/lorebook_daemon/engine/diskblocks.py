"""The KV of passages on disk: a folder a model, a file a block, one bound over all; the least recently used go first.

Nothing here is needed for an answer: what cannot be written or read is read by the model again.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import struct
import tempfile
import threading
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

log = logging.getLogger(__name__)

_SUFFIX = ".kv"
_PART = ".part"
_MAGIC = b"lorekv\r\n"
_VERSION = 1
_HEADER = struct.Struct("<8sIQ32s")
"""Magic, version, bytes of the state, checksum."""
_SLACK = 16
"""Of the bound, one part in so many is written before the folder is looked at again, and made free at once."""
_FORGOTTEN_S = 3600.0
_WAITING_BYTES = 256_000_000
"""States that may wait to be written; one that comes while so many do is not written."""


@dataclass(frozen=True, slots=True)
class BlockKey:
    """What a block is of: the digest of a passage's text, and of all else that its KV depends on within one model."""

    context: bytes
    passage: bytes


def passage_digest(text: str) -> bytes:
    """Return what the blocks of a passage are found by, with no model at hand that could tell its tokens."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def drop_files(root: Path, passages: Collection[bytes]) -> set[Path]:
    """Delete the blocks of these passages (digests) of all models below `root`; return their files.

    A file that cannot be deleted is logged, and not among them; nor are those that a killed process left half written.
    """
    digests = {digest.hex() for digest in passages}
    going = [file for file in _files(root) if file.name.partition("-")[0] in digests]
    return {file for file in going if _deleted(file) and file.suffix == _SUFFIX}


def drop_all_files(root: Path) -> set[Path]:
    """Delete every block of every model below `root`; return their files."""
    return {file for file in _files(root) if _deleted(file) and file.suffix == _SUFFIX}


def kept_bytes(root: Path) -> int:
    """Return how many bytes all models' blocks below `root` take on disk."""
    return sum(size for _, size, _ in _stats(root))


class DiskBlocks:
    """The blocks of one model. Writing is a background thread's work; reading is the caller's.

    Several processes may keep blocks in the same folder: each file is whole or not there. llama.cpp crashes on a
    damaged state, so a file that is not what was written is deleted and counts as not there.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        """Keep blocks in `folder`; those of all models, in the folders beside it, take at most `limit` bytes."""
        self.folder = folder
        self.limit = limit
        self._root = folder.parent
        self._changed = threading.Condition()
        self._waiting: dict[BlockKey, bytes] = {}
        self._writing: BlockKey | None = None
        self._closed = False
        self._works = True
        self._held = self._since_look = limit  # unknown: look before the first write
        self._thread = threading.Thread(target=self._work, name="kv-writer", daemon=True)
        self._thread.start()

    def path(self, key: BlockKey) -> Path:
        """Return where a block lies, or would."""
        return self.folder / f"{key.passage.hex()}-{key.context.hex()}{_SUFFIX}"

    def get(self, key: BlockKey) -> bytes | None:
        """Return a block's state, which is now the most recently used; None where it is not there or damaged."""
        with self._changed:
            waiting = self._waiting.get(key)
        if waiting is not None:
            return waiting
        path = self.path(key)
        try:
            with path.open("rb") as file:
                header, state = file.read(_HEADER.size), file.read()
        except OSError:
            return None
        if header != self._header(key, state):
            log.warning("%s is damaged and is deleted", path)
            _deleted(path)
            return None
        self.touch(key)
        return state

    def has(self, key: BlockKey) -> bool:
        """Return whether there is such a block; it may still prove to be damaged."""
        return key in self._waiting or self.path(key).is_file()

    def touch(self, key: BlockKey) -> None:
        """Make a block the most recently used one; nothing happens where it is not there."""
        with contextlib.suppress(OSError):
            os.utime(self.path(key))

    def put(self, key: BlockKey, state: bytes) -> None:
        """Have a block written soon; it is not where too many wait already, or where the disk cannot be written."""
        with self._changed:
            waiting = sum(map(len, self._waiting.values()))
            if self._works and key not in self._waiting and (not waiting or waiting + len(state) <= _WAITING_BYTES):
                self._waiting[key] = state
                self._changed.notify_all()

    def drop(self, passages: Collection[bytes]) -> set[Path]:
        """Delete the blocks of these passages (digests), of all models; return their files, written or about to be."""
        with self._changed:
            going = {key for key in self._waiting if key.passage in passages}
            for key in going:
                del self._waiting[key]
            if self._writing in going:
                self._writing = None  # the writer sees it before the file gets its name
            return drop_files(self._root, passages) | {self.path(key) for key in going}

    def discard(self, key: BlockKey) -> None:
        """Delete a block, written or about to be."""
        with self._changed:
            self._waiting.pop(key, None)
            if self._writing == key:
                self._writing = None  # as above
            _deleted(self.path(key))

    def flush(self, timeout_s: float = 60.0) -> bool:
        """Wait until nothing waits to be written; return whether that came in time."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting, timeout_s)

    def close(self) -> None:
        """End the writer, with what it has in hand."""
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._changed.notify_all()
        self._thread.join()

    # -- the writer

    def _work(self) -> None:
        for file in _files(self._root):
            if file.suffix == _PART and _abandoned(file):
                _deleted(file)
        while (job := self._next()) is not None:
            key, state = job
            try:
                if self._works and not self.path(key).is_file():
                    self._write(key, state)
            except OSError as error:
                self._works = False
                log.warning("passages are not kept on disk any more: %s cannot be written (%s)", self.folder, error)
            with self._changed:
                self._writing = None
                self._waiting.pop(key, None)
                self._changed.notify_all()

    def _next(self) -> tuple[BlockKey, bytes] | None:
        """Wait for a block to write, which stays among those that wait until it has its name; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if self._closed:
                return None
            key, state = next(iter(self._waiting.items()))
            self._writing = key
            return key, state

    def _write(self, key: BlockKey, state: bytes) -> None:
        """Write a block under another name and then give it its own; not synced, since a damaged one is noticed."""
        size = _HEADER.size + len(state)
        if not self._make_room(size):
            return
        for folder in (self._root, self.folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(_PART, f"{key.passage.hex()}-{os.getpid()}-", self.folder)
        part = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(self._header(key, state))
                file.write(state)
            self._name(part, key)
        finally:
            part.unlink(missing_ok=True)
        self._held += size
        self._since_look += size

    def _name(self, part: Path, key: BlockKey) -> None:
        """Give a whole file its name, unless the block was dropped meanwhile."""
        with self._changed:
            if self._writing == key:
                # Not there: another process tidied up. In use: another one has written the same block.
                with contextlib.suppress(FileNotFoundError, PermissionError):
                    part.replace(self.path(key))

    def _make_room(self, size: int) -> bool:
        """Delete the oldest blocks of all models until `size` bytes more are within the bound; False if they cannot."""
        if size > self.limit:
            return False
        slack = self.limit // _SLACK
        if self._held + size <= self.limit and self._since_look <= slack:
            return True
        found = sorted(_stats(self._root), key=lambda each: each[0])
        self._held, self._since_look = sum(bytes_ for _, bytes_, _ in found), 0
        if self._held + size <= self.limit:
            return True
        target = min(self.limit - size, self.limit - slack)
        for _, bytes_, file in found:
            if self._held <= target:
                break
            if file.suffix == _SUFFIX and _deleted(file):
                self._held -= bytes_
        return self._held + size <= self.limit

    def _header(self, key: BlockKey, state: bytes) -> bytes:
        """Return what stands before a state: it fits no other state, no other key and no other model."""
        digest = hashlib.blake2b(digest_size=32)
        for part in (self.folder.name.encode(), key.context, key.passage):
            digest.update(len(part).to_bytes(4, "little") + part)
        digest.update(state)
        return _HEADER.pack(_MAGIC, _VERSION, len(state), digest.digest())


def _files(root: Path) -> list[Path]:
    """Return every model's blocks, those half written too."""
    return [file for file in root.glob("*/*") if file.suffix in (_SUFFIX, _PART)]


def _abandoned(part: Path) -> bool:
    """Return whether who was writing this file is gone, or has its number from one who is.

    One that lives, but in another container, loses a block at most.
    """
    writer = "".join(part.name.split("-")[1:2])
    try:
        old = time.time() - part.stat().st_mtime > _FORGOTTEN_S
    except OSError:
        return False
    return old or not writer.isdecimal() or not psutil.pid_exists(int(writer))


def _stats(root: Path) -> Iterator[tuple[int, int, Path]]:
    """Yield when each file of all models was last used (ns), its bytes, and the file; half written ones too."""
    for file in root.glob("*/*"):
        with contextlib.suppress(OSError):
            found = file.stat()
            yield found.st_mtime_ns, found.st_size, file


def _deleted(file: Path) -> bool:
    """Delete a file; return whether it is gone by our hand."""
    try:
        file.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        log.warning("%s cannot be deleted (%s)", file, error.strerror or error)
        return False
    return True
