"""Bring a root's index up to date, in two stages: words in seconds, vectors after that."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from lorebook_api.errors import NotFound, Unusable
from lorebook_api.schema import IndexReport, Progress, Skipped
from lorebook_daemon.index.lexical import Lexical
from lorebook_daemon.index.passage import Passage, Unreadable
from lorebook_daemon.index.split import read_passages
from lorebook_daemon.index.storage import Damaged, erase, is_whole, lock, storage, sweep, write_derived
from lorebook_daemon.index.store import FORMAT, FileRow, Meta, Store
from lorebook_daemon.index.walk import FileStat, check_root, walk

log = logging.getLogger(__name__)

Report = Callable[[Progress], None]

_SETTLED_NS = 20_000_000  # file systems tell times apart by 10 ms or better
_MANY = 20_000  # files; a home folder or a whole disk has more, a project seldom
_REBUILD_SHARE = 0.5  # from here on, building the word index anew costs less than mending it


@dataclass(frozen=True)
class Changes:
    """How a root differs from its index."""

    fresh: tuple[FileStat, ...]
    """Files that are new, or whose stamp moved."""
    gone: tuple[str, ...]
    skipped: tuple[Skipped, ...]
    """What the walk could not take."""


@dataclass
class _Tally:
    """What a run has done so far."""

    added: int = 0
    changed: int = 0
    removed: int = 0
    stirred: bool = False
    """Passages were written or deleted."""
    notices: list[str] = field(default_factory=list)


def update(root: Path, folder: Path, *, max_file_mb: int, full: bool = False, report: Report) -> IndexReport:
    """Bring files, passages and the word index of `root` up to date in `folder`; vectors are left to `embed_missing`.

    Only new and changed files are read; `full` reads all. Nothing is visible to readers before all is done, so that
    an end at any moment leaves the state before. An exception from `report` ends the work so. Raises NotFound or
    BadRequest for `root`, Conflict while another process is at it, StorageFailed where `folder` cannot be written.
    """
    top = check_root(root)
    with lock(folder, top):
        try:
            return _Update(top, folder, max_file_mb, full, report).run()
        except Damaged as error:
            log.warning("index of %s was damaged: %s", top, error)
            erase(folder)
        renewal = _Update(top, folder, max_file_mb, full, report, after_damage=True)
        renewal.tally.notices.append("The index was damaged and has been made anew.")
        try:
            return renewal.run()
        except Damaged as error:
            raise Unusable(
                f"The index in {folder} cannot be used ({error}).", "Delete that folder, then: lorebook index"
            ) from error


def is_stale(root: Path, folder: Path) -> int:
    """Return how many files of `root` differ from its index, by their stamps; 0 is fresh.

    At least 1 where the index is missing, unfinished, damaged or of another format. Raises NotFound and BadRequest
    for `root`.
    """
    top = check_root(root)
    try:
        with storage(folder):
            store = Store.open(folder)
            try:
                if store.found_format() != FORMAT or not is_whole(folder, store.meta.lexical):
                    return 1
                changes = compare(top, store.files(), store.meta.max_file_mb)
            finally:
                store.close()
    except (Damaged, NotFound):
        return 1
    return len(changes.fresh) + len(changes.gone)


def compare(top: Path, known: Mapping[str, FileRow], max_file_mb: int, full: bool = False) -> Changes:
    """Walk `top` and return how it differs from what is `known`; `full` takes every file for changed."""
    fresh: list[FileStat] = []
    skipped: list[Skipped] = []
    seen: set[str] = set()
    for item in walk(top, max_file_mb):
        if isinstance(item, Skipped):
            skipped.append(item)
            continue
        seen.add(item.path)
        row = known.get(item.path)
        if full or row is None or row.stamp != item.stamp:
            fresh.append(item)
    return Changes(tuple(fresh), tuple(path for path in known if path not in seen), tuple(skipped))


class _Update:
    """One run of `update`, within the lock."""

    def __init__(
        self, top: Path, folder: Path, max_file_mb: int, full: bool, report: Report, after_damage: bool = False
    ) -> None:
        self.top, self.folder, self.max_file_mb, self.full, self.report = top, folder, max_file_mb, full, report
        self.after_damage = after_damage
        self.tally = _Tally()
        self.began = time.perf_counter()

    def run(self) -> IndexReport:
        """Do the work and return what came of it."""
        with storage(self.folder):
            store = Store.create(self.folder)
            try:
                with store.transaction():
                    report = self._bring_up(store)
                sweep(self.folder, derived_names(store.meta))
            finally:
                store.close()
        return report

    def _bring_up(self, store: Store) -> IndexReport:
        if store.found_format() != FORMAT:
            store.clear()
            self.tally.notices.append("The index was of another version's format and has been made anew.")
        if self.after_damage:
            store.lose_track()
        self.report(Progress("looking for changes"))
        known = store.files()
        changes = compare(self.top, known, self.max_file_mb, self.full)
        before, last_id = store.passage_ids(), store.last_id()
        self._remove(store, changes.gone)
        self._read(store, changes.fresh, known)
        store.bound_gone()
        self._index_words(store, before, last_id)
        return self._report(store, changes.skipped)

    def _remove(self, store: Store, gone: tuple[str, ...]) -> None:
        for path in gone:
            store.remove_file(path)
        self.tally.removed = len(gone)
        self.tally.stirred |= bool(gone)

    def _read(self, store: Store, fresh: tuple[FileStat, ...], known: Mapping[str, FileRow]) -> None:
        what = _reading(len(fresh))
        for done, stat in enumerate(fresh):
            self.report(Progress(what, done, len(fresh)))
            row = known.get(stat.path)
            digest, passages, why = _read_file(stat, b"" if row is None or self.full else row.sha256)
            if row is not None and row.sha256 == digest and not self.full:
                store.touch(stat)
                continue
            store.put_file(stat, digest, why, passages)
            self.tally.stirred = True
            # A new file that cannot be read is told of as skipped, and is not among the files either.
            self.tally.added += row is None and why is None
            self.tally.changed += row is not None and row.sha256 != digest
        self.report(Progress(what, len(fresh), len(fresh)))

    def _index_words(self, store: Store, before: set[int], last_id: int) -> None:
        """Write the word index anew where passages changed or the file cannot be read."""
        meta = replace(store.meta, root=str(self.top), max_file_mb=self.max_file_mb)
        old = self._load_words(meta)
        if old is not None and not self.tally.stirred:
            store.meta = meta
            return
        self.report(Progress("indexing words"))
        now = store.passage_ids()
        if old is not None and len(before ^ now) <= _REBUILD_SHARE * len(now):
            lexical = old.updated(before - now, store.passages_after(last_id))
        else:
            lexical = Lexical.build(store.passages_after(0))
        generation = meta.generation + 1
        derived = write_derived(self.folder, f"lexical-{generation}.npz", lexical.save)
        store.meta = replace(
            meta,
            generation=generation,
            files=sum(row.why is None for row in store.files().values()),
            passages=len(now),
            lexical=derived,
            vectors=len(store.embedded_ids()),
            updated=datetime.now(UTC).isoformat(timespec="seconds"),
        )

    def _load_words(self, meta: Meta) -> Lexical | None:
        """Return the word index as it is; None where there is none, or none that can be read."""
        if meta.lexical is None:
            return None
        try:
            return Lexical.load(self.folder / meta.lexical.name)
        except Unusable as error:
            log.warning("%s", error)
            self.tally.notices.append("The word index was damaged and has been made anew.")
            return None

    def _report(self, store: Store, skipped: tuple[Skipped, ...]) -> IndexReport:
        rows = store.files()
        unread = (Skipped(path, row.why) for path, row in rows.items() if row.why is not None)
        return IndexReport(
            root=str(self.top),
            files=sum(row.why is None for row in rows.values()),
            passages=len(store.passage_ids()),
            added=self.tally.added,
            changed=self.tally.changed,
            removed=self.tally.removed,
            skipped=tuple(sorted([*skipped, *unread], key=lambda each: each.path)),
            seconds=round(time.perf_counter() - self.began, 3),
            notices=tuple(self.tally.notices),
        )


def _reading(count: int) -> str:
    """Return what is being done, with a word on so many files that the folder may not be the one that was meant."""
    return "reading files" if count < _MANY else f"reading {count:,} files (--root names a smaller folder)"


def derived_names(meta: Meta) -> list[str]:
    """Return the names of the files that belong to the index as it is."""
    return [derived.name for derived in (meta.lexical, meta.nearest) if derived is not None]


def _read_file(stat: FileStat, known: bytes) -> tuple[bytes, list[Passage], str | None]:
    """Return a file's hash, its passages, and why it has none; where the hash is `known` it is read no further."""
    _settle(stat.mtime_ns)
    file = Path(stat.file)
    try:
        data = file.read_bytes()
    except OSError as error:
        return b"", [], f"cannot be read: {error.strerror or error}"
    digest = hashlib.sha256(data).digest()
    if digest == known:
        return digest, [], None
    try:
        return digest, read_passages(file, stat.path, data), None
    except Unreadable as error:
        return digest, [], str(error)


def _settle(mtime_ns: int) -> None:
    """Wait until a second change of the file would bear another time than the first."""
    age = time.time_ns() - mtime_ns
    if 0 <= age < _SETTLED_NS:
        time.sleep((_SETTLED_NS - age) / 1e9)
