"""Some files made ready for the index: read, split, packed into rows of the database, their words counted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lorebook_api.splitting import STRUCTURE, Splitting
from lorebook_daemon.index.bags import Bags
from lorebook_daemon.index.intake import take
from lorebook_daemon.index.passage import Passage
from lorebook_daemon.index.records import Row, packed
from lorebook_daemon.index.unsaved import Unsaved
from lorebook_daemon.index.walk import FileStat


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file to be read, or what was typed over it; `known` is the hash of what the index has of it, or empty."""

    stat: FileStat
    known: bytes = b""
    unsaved: Unsaved | None = None
    splitting: Splitting = STRUCTURE


@dataclass(frozen=True, slots=True)
class Ready:
    """What came of reading a file (see `intake.Taken`), packed; `went` says that it was no longer there."""

    stat: FileStat
    sha256: bytes = b""
    rows: tuple[Row, ...] = ()
    why: str | None = None
    went: bool = False


@dataclass(frozen=True)
class Batch:
    """Files in the order wanted, and the bags of all their passages in the order of their rows."""

    files: tuple[Ready, ...]
    bags: Bags

    @classmethod
    def join(cls, parts: Sequence[Batch]) -> Batch:
        """Return the files of all parts, one part's after the other's."""
        return cls(tuple(file for part in parts for file in part.files), Bags.join([part.bags for part in parts]))


def prepare(wanted: Sequence[Wanted], begins: Callable[[], None] = lambda: None) -> Batch:
    """Read the files; what cannot be read says why and has no passages. `begins` is called before each."""
    passages: list[Passage] = []
    files = []
    for one in wanted:
        begins()
        try:
            taken = take(one.stat, one.known, one.unsaved, one.splitting)
        except FileNotFoundError:
            files.append(Ready(one.stat, went=True))
            continue
        files.append(Ready(taken.stat, taken.sha256, tuple(map(packed, taken.passages)), taken.why))
        passages += taken.passages
    return Batch(tuple(files), Bags.of(passages))
