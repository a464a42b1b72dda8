"""Files that are wanted, and what came of them, as frames: so they go to the processes that read, and come back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple
from typing import Any

import numpy as np
from scipy import sparse

from lorebook_api.splitting import Splitting
from lorebook_daemon.index.bags import Bags
from lorebook_daemon.index.batch import Batch, Ready, Wanted
from lorebook_daemon.index.frames import Frame
from lorebook_daemon.index.records import Row
from lorebook_daemon.index.unsaved import Unsaved
from lorebook_daemon.index.walk import FileStat


def asked(wanted: Sequence[Wanted]) -> list[Any]:
    """Return the files that are wanted as JSON."""
    return [
        (_spelled(one.stat), one.known.hex(), one.unsaved and astuple(one.unsaved), astuple(one.splitting))
        for one in wanted
    ]


def wanted_in(value: Sequence[Any]) -> list[Wanted]:
    """Return what `asked` made JSON of."""
    return [
        Wanted(FileStat(*stat), bytes.fromhex(known), _unsaved(unsaved), Splitting(*splitting))
        for stat, known, unsaved, splitting in value
    ]


def answered(batch: Batch) -> Frame:
    """Return what came of the files as a frame; the arrays of the bags are its blocks."""
    files = [
        (_spelled(one.stat), one.sha256.hex(), [(key.hex(), *rest) for key, *rest in one.rows], one.why, one.went)
        for one in batch.files
    ]
    bags = batch.bags
    counts = bags.counts
    arrays = (
        (bags.hashes, np.uint64),
        (counts.data, np.uint16),
        (counts.indices, np.int32),
        (counts.indptr, np.int32),
        (bags.kinds, np.uint8),
    )
    return files, tuple(array.astype(kind, copy=False).tobytes() for array, kind in arrays)


def batch_in(frame: Frame) -> Batch:
    """Return what `answered` made a frame of."""
    files, (hashes, data, indices, starts, kinds) = frame
    terms = np.frombuffer(hashes, np.uint64)
    entries = np.frombuffer(data, np.uint16), np.frombuffer(indices, np.int32), np.frombuffer(starts, np.int32)
    counts = sparse.csr_array(entries, shape=(len(entries[2]) - 1, len(terms)))
    ready = (Ready(FileStat(*stat), bytes.fromhex(sha256), _rows(rows), *rest) for stat, sha256, rows, *rest in files)
    return Batch(tuple(ready), Bags(terms, counts, np.frombuffer(kinds, np.uint8)))


def _spelled(stat: FileStat) -> tuple[str, str, int, int, int]:
    return stat.path, stat.file, stat.mtime_ns, stat.ctime_ns, stat.size


def _rows(spelled: Sequence[Any]) -> tuple[Row, ...]:
    return tuple((bytes.fromhex(key), *rest) for key, *rest in spelled)


def _unsaved(fields: Sequence[Any] | None) -> Unsaved | None:
    if fields is None:
        return None
    path, on_disk, typed_ns, text = fields
    return Unsaved(path, tuple(on_disk), typed_ns, text)
