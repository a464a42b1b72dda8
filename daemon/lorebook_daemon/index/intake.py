"""A file as it is taken in: its content as it was at one moment, its hash, its passages."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, replace
from pathlib import Path

from lorebook_api.splitting import STRUCTURE, Splitting
from lorebook_daemon.index.passage import Passage, Unreadable
from lorebook_daemon.index.split import read_passages
from lorebook_daemon.index.unsaved import Unsaved
from lorebook_daemon.index.walk import FileStat

_SETTLED_NS = 20_000_000  # file systems tell times apart by 10 ms or better
_TRIES = 3


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of reading a file; `why` says why it has no passages."""

    stat: FileStat
    """Its stamp from before it was read: a change while it was read shows as one to come."""
    sha256: bytes
    passages: list[Passage]
    why: str | None = None


def take(stat: FileStat, known: bytes, unsaved: Unsaved | None = None, splitting: Splitting = STRUCTURE) -> Taken:
    """Read a file, or what was typed over it; where its hash is `known` it is split no further.

    A file that is written meanwhile is read again, up to three times: half of it is no content that ever was. Raises
    FileNotFoundError where it went since it was found.
    """
    try:
        stat, data = (stat, unsaved.data) if unsaved is not None else _read_at_rest(stat)
    except FileNotFoundError:
        raise
    except OSError as error:
        return Taken(stat, b"", [], f"cannot be read: {error.strerror or error}")
    digest = hashlib.sha256(data).digest()
    if digest == known:
        return Taken(stat, digest, [])
    try:
        return Taken(stat, digest, read_passages(Path(stat.file), stat.path, data, splitting))
    except Unreadable as error:
        return Taken(stat, digest, [], str(error))


def _read_at_rest(stat: FileStat) -> tuple[FileStat, bytes]:
    for _ in range(_TRIES):
        _settle(stat.mtime_ns)
        file = Path(stat.file)
        data = file.read_bytes()
        after = file.lstat()
        now = replace(stat, mtime_ns=after.st_mtime_ns, ctime_ns=after.st_ctime_ns, size=after.st_size)
        if now.stamp == stat.stamp:
            break
        before, stat = stat, now
    else:
        stat = before  # it never rests: what was read goes under an older stamp, so that it is looked at again
    return stat, data


def _settle(mtime_ns: int) -> None:
    """Wait until a second change of the file would bear another time than the first."""
    age = time.time_ns() - mtime_ns
    if 0 <= age < _SETTLED_NS:
        time.sleep((_SETTLED_NS - age) / 1e9)
