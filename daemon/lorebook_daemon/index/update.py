"""Bring a root's index up to date, in two stages: words in seconds, vectors after that."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from lorebook_api.errors import NotFound, Unusable
from lorebook_api.indexing import FileChange, IndexReport, Progress, Skipped
from lorebook_api.splitting import parse_splitting
from lorebook_daemon.index.area import Area
from lorebook_daemon.index.bags import Bags
from lorebook_daemon.index.batch import Ready, Wanted
from lorebook_daemon.index.lexical import Lexical
from lorebook_daemon.index.readers import ready
from lorebook_daemon.index.records import FORMAT, FileRow, Meta, passage_key
from lorebook_daemon.index.searching import Words
from lorebook_daemon.index.storage import Damaged, lock, storage, sweep
from lorebook_daemon.index.stores import Store, create_store, erase_store, open_store
from lorebook_daemon.index.unsaved import Unsaved, drop_all_unsaved, unsaved_in
from lorebook_daemon.index.walk import FileStat, check_root, walk

log = logging.getLogger(__name__)

Report = Callable[[Progress], None]

_MANY = 20_000  # files; a home folder or a whole disk has more, a project seldom
_TOLD = 50
"""Files that a report names one by one; its counts are of all."""


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
    gone: set[int] = field(default_factory=set)
    """The ids of those deleted."""
    notices: list[str] = field(default_factory=list)
    files: dict[str, FileChange] = field(default_factory=dict)


def update(
    root: Path,
    folder: Path,
    *,
    max_file_mb: int,
    full: bool = False,
    paths: Collection[str] | None = None,
    splitter: str = "structure",
    alone: bool = False,
    report: Report,
) -> IndexReport:
    """Bring files, passages and the word index of `root` up to date in `folder`; vectors are left to `embed_missing`.

    Only new and changed files are read; `full` reads all, and so does another `splitter` than before. With `paths` (see
    `Area.of`) it is looked only where something happened to these; what is skipped elsewhere is then not told. Nothing
    is visible to readers before all is done, so that an end at any moment leaves the state before. An exception from
    `report` ends the work so. Many files are read by several processes, but by this one where `alone` is set. Raises
    NotFound or BadRequest for `root`, Conflict while another process is at it, StorageFailed where `folder` cannot be
    written.
    """
    top = check_root(root)
    with lock(folder, top):
        try:
            area = None if full or paths is None else Area.of(paths)
            return _Update(top, folder, max_file_mb, splitter, full, report, area=area, alone=alone).run()
        except Damaged as error:
            log.warning("index of %s was damaged: %s", top, error)
            erase_store(folder)
        renewal = _Update(top, folder, max_file_mb, splitter, full, report, after_damage=True, alone=alone)
        renewal.tally.notices.append("The index was damaged and has been made anew.")
        try:
            return renewal.run()
        except Damaged as error:
            raise Unusable(
                f"The index in {folder} cannot be used ({error}).", "Delete that folder, then: lorebook index"
            ) from error


def empty(root: Path, folder: Path) -> bool:
    """Take everything out of the index of `root`, which need not be there any more; False where there is no index.

    What was in it is then `gone` (see `lately`). Raises Conflict while another process is at it, StorageFailed.
    """
    try:
        with lock(folder, root), storage(folder):
            store = open_store(folder)
            try:
                with store.transaction():
                    _take_all(store)
                sweep(folder, ())
            finally:
                store.close()
    except NotFound:
        return False
    except Damaged:
        erase_store(folder)
    drop_all_unsaved(folder)
    return True


def _take_all(store: Store) -> None:
    if store.found_format() != FORMAT:
        store.clear()
        return
    for path in store.files():
        store.remove_file(path)
    store.bound_gone()
    store.drop_vectors()
    store.meta = Meta(generation=store.meta.generation + 1)


def is_stale(root: Path, folder: Path, splitter: str = "structure") -> int:
    """Return how many files of `root` differ from its index, by their stamps; 0 is fresh.

    At least 1 where the index is missing, unfinished, damaged, of another format or cut by another `splitter`. Raises
    NotFound and BadRequest for `root`, and NotFound where what was there seems to be unmounted.
    """
    top = check_root(root)
    try:
        with storage(folder):
            store = open_store(folder)
            try:
                if store.found_format() != FORMAT or not store.is_finished():
                    return 1
                meta, known = store.meta, store.files()
                if meta.splitter != splitter:
                    return 1
            finally:
                store.close()
    except (Damaged, NotFound):
        return 1
    changes = compare(top, known, meta.max_file_mb, unsaved=unsaved_in(folder))
    check_mounted(top, meta, changes, len(known))
    return len(changes.fresh) + len(changes.gone)


def compare(
    top: Path,
    known: Mapping[str, FileRow],
    max_file_mb: int,
    full: bool = False,
    area: Area | None = None,
    unsaved: Mapping[str, Unsaved] | None = None,
) -> Changes:
    """Walk `top`, or an area of it, and return how it differs from what is `known`.

    `full` takes every file for changed. What is `unsaved` stands for the file below it.
    """
    fresh: list[FileStat] = []
    skipped: list[Skipped] = []
    seen: set[str] = set()
    for item in walk(top, max_file_mb, area):
        if isinstance(item, Skipped):
            skipped.append(item)
            continue
        seen.add(item.path)
        typed = unsaved.get(item.path) if unsaved else None
        stat = item if typed is None else typed.over(item)
        row = known.get(item.path)
        if full or row is None or row.stamp != stat.stamp:
            fresh.append(stat)
    gone = (path for path in known if path not in seen and (area is None or area.covers(path)))
    return Changes(tuple(fresh), tuple(gone), tuple(skipped))


def check_mounted(top: Path, meta: Meta, changes: Changes, known: int) -> None:
    """Raise NotFound where the folder is empty and lies on another device than what was indexed: it is not mounted.

    Its index is kept. A folder that was emptied lies where it lay, and its index is emptied too.
    """
    moved = meta.device and meta.device != top.stat().st_dev
    if known and len(changes.gone) == known and moved and not any(top.iterdir()):
        raise NotFound(
            f"{top} is empty, and on another disk than when it was indexed: it seems unmounted. Its index is kept.",
            f"Mount it again; if it was emptied, type: lorebook index --full {top}",
        )


class _Update:
    """One run of `update`, within the lock."""

    def __init__(
        self,
        top: Path,
        folder: Path,
        max_file_mb: int,
        splitter: str,
        full: bool,
        report: Report,
        after_damage: bool = False,
        area: Area | None = None,
        alone: bool = False,
    ) -> None:
        self.top, self.folder, self.max_file_mb, self.full, self.report = top, folder, max_file_mb, full, report
        self.splitter, self._splitting = splitter, parse_splitting(splitter)
        self.after_damage = after_damage
        self.area = area
        self.alone = alone
        self.unsaved = unsaved_in(folder)
        self.tally = _Tally()
        self.began = time.perf_counter()

    def run(self) -> IndexReport:
        """Do the work and return what came of it."""
        with storage(self.folder):
            store = create_store(self.folder)
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
        meta = store.meta
        self.full |= meta.splitter != self.splitter
        if meta.lexical is None or meta.max_file_mb != self.max_file_mb or self.full:
            self.area = None  # there is more to do than where something happened
        known = store.files(self.area)
        changes = compare(self.top, known, self.max_file_mb, self.full, self.area, self.unsaved)
        if not self.full:
            check_mounted(self.top, meta, changes, len(known))
        last_id = store.last_id()
        self._remove(store, changes.gone)
        moved = {known[path].sha256: path for path in changes.gone if known[path].sha256}
        new = self._read(store, changes.fresh, known, moved)
        store.bound_gone()
        self._index_words(store, last_id, new)
        return self._report(store, changes.skipped)

    def _remove(self, store: Store, gone: tuple[str, ...]) -> None:
        for path in gone:
            self.tally.gone.update(store.remove_file(path))
            self._tell(path, "removed")
        self.tally.removed += len(gone)
        self.tally.stirred |= bool(gone)

    def _read(
        self,
        store: Store,
        fresh: tuple[FileStat, ...],
        known: Mapping[str, FileRow],
        gone: Mapping[bytes, str],
    ) -> Lexical:
        """Read what is new or changed, and return its words; `gone` are files that went, by their hashes."""
        what = _reading(len(fresh))
        seen = {} if self.full else {path: row.sha256 for path, row in known.items()}
        wanted = [Wanted(stat, seen.get(stat.path, b""), self._typed(stat), self._splitting) for stat in fresh]
        ids: list[int] = []
        bags: list[Bags] = []
        done = 0
        with closing(ready(wanted, self.alone)) as batches:
            self.report(Progress(what, done, len(fresh)))
            for batch in batches:
                for file in batch.files:
                    ids += self._take(store, file, known.get(file.stat.path), gone)
                bags.append(batch.bags)
                done += len(batch.files)
                self.report(Progress(what, done, len(fresh)))
        return Lexical.of(ids, Bags.join(bags))

    def _take(self, store: Store, file: Ready, row: FileRow | None, gone: Mapping[bytes, str]) -> Sequence[int]:
        """Let the database follow a file, and return the ids of its new passages."""
        if file.went:  # since it was found
            self._remove(store, (file.stat.path,) if row else ())
            return ()
        if row is not None and row.sha256 == file.sha256 and not self.full:
            store.touch(file.stat)
            return ()
        return self._put(store, file, row, gone.get(file.sha256))

    def _typed(self, stat: FileStat) -> Unsaved | None:
        """Return what stands for the file, where its stamp says so."""
        typed = self.unsaved.get(stat.path)
        return typed if typed is not None and stat.ctime_ns < 0 else None

    def _put(self, store: Store, file: Ready, row: FileRow | None, was: str | None) -> Sequence[int]:
        """Write a file; where it has another one's content, which is no longer there, it takes over its vectors."""
        path = file.stat.path
        ids, gone = store.put_file(file.stat, file.sha256, file.why, file.rows)
        self.tally.gone.update(gone)
        self.tally.stirred = True
        # A new file that cannot be read is told of as skipped, and is not among the files either.
        self.tally.added += row is None and file.why is None
        self.tally.changed += row is not None and row.sha256 != file.sha256
        if row is None and was is not None:
            passages = store.passages_of(path)
            store.share_vectors((passage_key(replace(each, path=was)), passage_key(each)) for each in passages)
            self.tally.files.pop(was, None)
            self._tell(path, "moved", was)
        elif row is None and file.why is None:
            self._tell(path, "added")
        elif row is not None and row.sha256 != file.sha256:
            self._tell(path, "changed")
        return ids

    def _tell(self, path: str, how: Literal["added", "changed", "removed", "moved"], was: str = "") -> None:
        if len(self.tally.files) < _TOLD:
            self.tally.files[path] = FileChange(path, how, was)

    def _index_words(self, store: Store, last_id: int, new: Lexical) -> None:
        """Write the word index where passages changed or it cannot be read; `new` holds those above `last_id`."""
        device = self.top.stat().st_dev
        meta = replace(
            store.meta, root=str(self.top), max_file_mb=self.max_file_mb, splitter=self.splitter, device=device
        )
        words = self._words(store)
        if words is not None and not self.tally.stirred:
            store.meta = meta
            return
        self.report(Progress("indexing words"))
        generation = meta.generation + 1
        derived = store.put_words(words, self.tally.gone, last_id, new, generation)
        counts = store.count()
        store.meta = replace(
            meta,
            generation=generation,
            files=counts.files,
            passages=counts.passages,
            lexical=derived,
            vectors=counts.vectors,
            updated=datetime.now(UTC).isoformat(timespec="seconds"),
        )

    def _words(self, store: Store) -> Words | None:
        """Return the word index; None where there is none that can be read."""
        if store.meta.lexical is None:
            return None
        try:
            return store.words()
        except Unusable as error:
            log.warning("%s", error)
            self.tally.notices.append("The word index was damaged and has been made anew.")
            return None

    def _report(self, store: Store, skipped: tuple[Skipped, ...]) -> IndexReport:
        meta = store.meta
        unread = (Skipped(path, why) for path, why in store.unread().items())
        return IndexReport(
            root=str(self.top),
            files=meta.files,
            passages=meta.passages,
            added=self.tally.added,
            changed=self.tally.changed,
            removed=self.tally.removed,
            skipped=tuple(sorted([*skipped, *unread], key=lambda each: each.path)),
            seconds=round(time.perf_counter() - self.began, 3),
            notices=tuple(self.tally.notices),
            changes=tuple(self.tally.files.values()),
        )


def _reading(count: int) -> str:
    """Return what is being done, with a word on so many files that the folder may not be the one that was meant."""
    return "reading files" if count < _MANY else f"reading {count:,} files (--root names a smaller folder)"


def derived_names(meta: Meta) -> list[str]:
    """Return the names of the files that belong to the index as it is."""
    return [derived.name for derived in (meta.lexical, meta.nearest) if derived is not None]
