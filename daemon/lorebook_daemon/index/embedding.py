"""The second stage of indexing: vectors for the passages that have none, and the index of nearest neighbours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from lorebook_api.errors import Unusable
from lorebook_api.indexing import Progress
from lorebook_daemon.index.embed import Embedder, passage_text
from lorebook_daemon.index.passage import Passage
from lorebook_daemon.index.storage import Damaged, lock, storage, sweep
from lorebook_daemon.index.stores import Store, open_store
from lorebook_daemon.index.update import Report, derived_names

_BATCH = 16
_WINDOW = 16 * _BATCH  # passages sorted by length at a time: larger would take old files before recent ones
_SAVE_AFTER = 512  # new vectors, or a quarter of all: each saving writes the whole file, and readers load it anew
_MAKE_ANEW = 0.3  # share of deleted vectors that is not worth carrying in the graph

_Missing = tuple[bytes, list[int], Passage]
"""What a vector is kept under, the passages that share it, and one of them."""


def embed_missing(root: Path, folder: Path, embedder: Embedder, report: Report) -> int:
    """Give each passage in the index of `root` a vector, recent files first; return how many passages have one.

    Every batch of 16 is committed, so that an end at any moment, or an exception from `report`, loses one batch at
    the most. Vectors made by another embedder are dropped. Raises NotFound where `folder` holds no index, Conflict
    while another process is at it, StorageFailed where it cannot be written, Unusable where it is damaged.
    """
    try:
        with lock(folder, root), storage(folder):
            store = open_store(folder)
            try:
                return _Embedding(store, folder, embedder, report).run()
            finally:
                store.close()
    except Damaged as error:
        raise Unusable(f"The index of {root} is damaged ({error}).", f"Make it anew: lorebook index {root}") from error


class _Embedding:
    """One run of `embed_missing`, within the lock."""

    def __init__(self, store: Store, folder: Path, embedder: Embedder, report: Report) -> None:
        self.store, self.folder, self.embedder, self.report = store, folder, embedder, report
        with store.transaction():
            store.take_embedder(embedder.identity)
        self.vectors = store.graph(embedder.dimensions)
        self.unsaved = 0

    def run(self) -> int:
        """Do the work and return how many passages have a vector."""
        self._match()
        missing = self.store.unembedded()
        done = 0
        for batch in self._batches(list(missing.items())):
            self.report(Progress("embedding passages", done, len(missing)))
            self._embed(batch)
            done += len(batch)
            if self.unsaved > max(_SAVE_AFTER, len(self.vectors) // 4):
                self._save()
        if self.unsaved or (len(self.vectors) and self.store.meta.similarity != self.store.similarity):
            self._save()
        with self.store.transaction():
            self.store.drop_spare_vectors()
        return len(self.vectors)

    def _match(self) -> None:
        """Let the nearest neighbours follow what stage one did to the passages."""
        have = self.store.embedded_ids()
        gone = set(self.vectors.ids.tolist()) - have
        if len(gone) > _MAKE_ANEW * len(self.vectors):
            self.vectors = self.store.graph(self.embedder.dimensions, anew=True)
        else:
            self.vectors.remove(gone)
        back = sorted(have.difference(self.vectors.ids.tolist()))
        for ids, matrix in self.store.vectors(back):
            self.vectors.add(ids, matrix)
        self.unsaved = len(gone) + len(back)

    def _batches(self, missing: Sequence[tuple[bytes, list[int]]]) -> Iterator[list[_Missing]]:
        """Yield what is missing, windows in the order given, texts of like length together."""
        for start in range(0, len(missing), _WINDOW):
            window = missing[start : start + _WINDOW]
            passages = self.store.passages([ids[0] for _, ids in window])
            found = [(key, ids, passages[ids[0]]) for key, ids in window]
            found.sort(key=lambda each: len(each[2].text))
            for place in range(0, len(found), _BATCH):
                yield found[place : place + _BATCH]

    def _embed(self, batch: Sequence[_Missing]) -> None:
        matrix = self.embedder.embed([passage_text(passage) for _, _, passage in batch])
        with self.store.transaction():
            self.store.put_vectors([key for key, _, _ in batch], matrix)
        sharing = [len(ids) for _, ids, _ in batch]
        ids = [each for _, shared, _ in batch for each in shared]
        self.vectors.add(ids, np.repeat(matrix, sharing, axis=0))
        self.unsaved += len(ids)

    def _save(self) -> None:
        generation = self.store.meta.generation + 1
        nearest = self.store.save_graph(self.vectors, generation)
        with self.store.transaction():
            meta = self.store.meta
            meta = replace(meta, similarity=self.store.similarity)
            self.store.meta = replace(meta, generation=generation, vectors=len(self.vectors), nearest=nearest)
        sweep(self.folder, derived_names(self.store.meta))
        self.unsaved = 0
