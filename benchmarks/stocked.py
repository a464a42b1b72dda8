"""An index of any size, written as the product writes one: passages, words, and vectors drawn after real ones."""

from __future__ import annotations

import contextlib
import itertools
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from lorebook_daemon.index.bags import Bags
from lorebook_daemon.index.embed import Embedder, Matrix, passage_text
from lorebook_daemon.index.lexical import Lexical
from lorebook_daemon.index.passage import Passage
from lorebook_daemon.index.records import packed
from lorebook_daemon.index.storage import write_derived
from lorebook_daemon.index.store import Store
from lorebook_daemon.index.vectors import Vectors
from lorebook_daemon.index.walk import FileStat

Asked = TypeVar("Asked")

_AT_ONCE = 20_000


def stock(folder: Path, passages: Iterable[Passage], identity: str, matrix: Iterable[Matrix] = ()) -> int:
    """Write an index of `passages` to `folder`, and their vectors, in parts of any size; return how many there are."""
    folder.mkdir(parents=True, exist_ok=True)
    store = Store.create(folder)
    with contextlib.closing(store):
        words, count = _put(store, passages)
        vectors, saved = _add(matrix), None
        if vectors is not None:
            saved = vectors.save(folder, "vectors-1.graph")
        with store.transaction():
            lexical = write_derived(folder, "lexical-1.words", words.save)
            store.meta = replace(
                store.meta,
                root=str(folder),
                generation=1,
                passages=count,
                lexical=lexical,
                embedder=identity,
                vectors=0 if vectors is None else len(vectors),
                nearest=saved,
            )
    return count


def _put(store: Store, passages: Iterable[Passage]) -> tuple[Lexical, int]:
    ids: list[int] = []
    bags = []
    files = itertools.groupby(passages, key=lambda passage: passage.path)
    while part := [(path, list(group)) for path, group in itertools.islice(files, _AT_ONCE // 20)]:
        with store.transaction():
            for path, of_file in part:
                ids += store.put_file(FileStat(path, path, 0, 0, 0), b"", None, [packed(one) for one in of_file]).ids
        bags.append(Bags.of([one for _, of_file in part for one in of_file]))
    return Lexical.of(ids, Bags.join(bags)), len(ids)


def _add(matrix: Iterable[Matrix]) -> Vectors | None:
    """Return the vectors under the ids that an empty database gives: from 1 on."""
    vectors, first = None, 1
    for part in matrix:
        vectors = vectors or Vectors.empty(part.shape[1])
        vectors.add(range(first, first + len(part)), part)
        first += len(part)
    return vectors


def drawn(real: Matrix, count: int, seed: int = 5) -> Iterator[Matrix]:
    """Yield vectors for `count` passages: the real ones, then each the mean of two of them.

    The embedder reads a long passage in windows and takes the mean of theirs: such is the vector of a passage that
    joins two others. Mere copies with noise would lie in clusters that no real files make.
    """
    yield real[:count]
    random = np.random.default_rng(seed)
    for first in range(len(real), count, _AT_ONCE):
        pairs = random.integers(len(real), size=(2, min(_AT_ONCE, count - first)))
        share = random.uniform(0.3, 0.7, size=(pairs.shape[1], 1)).astype(np.float32)
        mixed = share * real[pairs[0]] + (1 - share) * real[pairs[1]]
        yield np.asarray(mixed / np.linalg.norm(mixed, axis=1, keepdims=True), np.float32)


def real_vectors(file: Path, passages: list[Passage], embedder: Embedder) -> Matrix:
    """Return the vectors of `passages`, kept in `file` for the next time."""
    if file.is_file():
        with np.load(file, allow_pickle=False) as kept:
            if str(kept["identity"]) == embedder.identity and len(kept["rows"]) == len(passages):
                return np.asarray(kept["rows"], np.float32)
    rows = np.concatenate([embedder.embed([passage_text(one) for one in part]) for part in _parts(passages)])
    file.parent.mkdir(parents=True, exist_ok=True)
    np.savez(file, rows=rows, identity=embedder.identity)
    return rows


def _parts(passages: list[Passage]) -> Iterator[list[Passage]]:
    for first in range(0, len(passages), 256):
        yield passages[first : first + 256]


@dataclass(frozen=True)
class Opening:
    """What opening an index costs a process that has the embedder loaded."""

    ms: float
    mb: float
    """By how much its memory grew, first search included."""
    all_mb: float
    """Its whole memory then."""


_OPEN = """
import sys, time, psutil
from pathlib import Path
from lorebook_daemon.index.embed import MiniLM
from lorebook_daemon.index.opened import OpenIndex
embedder = MiniLM(Path(sys.argv[2])) if sys.argv[2] else None
if embedder: embedder.embed(["a question"])
before = psutil.Process().memory_info().rss
start = time.perf_counter()
index = OpenIndex.open(Path(sys.argv[1]), embedder)
ms = 1000 * (time.perf_counter() - start)
index.search("how is a file opened for reading", 10)
after = psutil.Process().memory_info().rss
print(ms, (after - before) / 1e6, after / 1e6)
"""


def opening(folder: Path, embedder_folder: Path | None) -> Opening:
    """Open the index in a process of its own."""
    command = [sys.executable, "-c", _OPEN, str(folder), str(embedder_folder or "")]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return Opening(*map(float, told))


def milliseconds(search: Callable[[Asked], object], asked: Sequence[Asked]) -> list[float]:
    """Return how long each question took; the first is asked once before."""
    search(asked[0])
    times = []
    for question in asked:
        start = time.perf_counter()
        search(question)
        times.append(1000 * (time.perf_counter() - start))
    return times
