"""Where indexes are kept: each in an SQLite file in its own folder, or all in one PostgreSQL database.

Which of them stands in a file beside the folders, since several processes open indexes, each by its folder.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from lorebook_api.errors import BadRequest
from lorebook_api.retrieval import Kind, Similarity
from lorebook_daemon.index.area import Area
from lorebook_daemon.index.embed import Matrix
from lorebook_daemon.index.lexical import Ids, Lexical
from lorebook_daemon.index.passage import Passage
from lorebook_daemon.index.postgres import PostgresStore
from lorebook_daemon.index.records import Counts, FileRow, Gone, Meta, Put, Row
from lorebook_daemon.index.searching import Meanings, Words
from lorebook_daemon.index.storage import Derived, erase
from lorebook_daemon.index.store import Store as SqliteStore
from lorebook_daemon.index.walk import FileStat

_CHOICE = "store.json"


@dataclass(frozen=True)
class Choice:
    """Where the indexes are kept, the address of the database where it is PostgreSQL, and what their graphs are for."""

    store: Literal["sqlite", "postgres"] = "sqlite"
    url: str = ""
    similarity: Similarity = "cosine"


class Graph(Meanings, Protocol):
    """Vectors that can be added to."""

    def __len__(self) -> int:
        """Return how many there are."""
        ...

    @property
    def ids(self) -> Ids:
        """The ids that have a vector, rising."""
        ...

    def add(self, ids: Sequence[int], matrix: Matrix) -> None:
        """Put one row of `matrix` in for each id."""
        ...

    def remove(self, ids: Collection[int] | Ids) -> None:
        """Take vectors out; an id that has none is passed over."""
        ...


class Store(Protocol):
    """One index: its files, passages and vectors. One process writes, others read the last commit.

    What each method does stands at `store.Store`, which keeps it in SQLite.
    """

    # fmt: off
    @property
    def similarity(self) -> Similarity: ...  # noqa: D102
    def close(self) -> None: ...  # noqa: D102
    def transaction(self, write: bool = True) -> AbstractContextManager[None]: ...  # noqa: D102
    @property
    def meta(self) -> Meta: ...  # noqa: D102
    @meta.setter
    def meta(self, meta: Meta) -> None: ...
    def found_format(self) -> int: ...  # noqa: D102
    def clear(self) -> None: ...  # noqa: D102
    def is_finished(self) -> bool: ...  # noqa: D102
    def files(self, area: Area | None = None) -> dict[str, FileRow]: ...  # noqa: D102
    def unread(self) -> dict[str, str]: ...  # noqa: D102
    def count(self) -> Counts: ...  # noqa: D102
    def put_file(self, stat: FileStat, sha256: bytes, why: str | None, rows: Sequence[Row]) -> Put: ...  # noqa: D102
    def touch(self, stat: FileStat) -> None: ...  # noqa: D102
    def remove_file(self, path: str) -> list[int]: ...  # noqa: D102
    def last_id(self) -> int: ...  # noqa: D102
    def passages_after(self, last_id: int) -> Iterator[tuple[int, Passage]]: ...  # noqa: D102
    def passages(self, ids: Sequence[int]) -> Mapping[int, Passage]: ...  # noqa: D102
    def recent(self, since_ns: int, most: int) -> list[tuple[int, Passage]]: ...  # noqa: D102
    def ids_where(  # noqa: D102
        self, files: Collection[int] | None, kinds: Collection[Kind], languages: Collection[str], tags: Collection[str]
    ) -> list[int]: ...
    def passages_of(self, path: str) -> list[Passage]: ...  # noqa: D102
    def in_files(self, paths: Collection[str]) -> dict[int, Passage]: ...  # noqa: D102
    def gone(self, most: int) -> Gone | None: ...  # noqa: D102
    def settle(self, gone: Gone) -> None: ...  # noqa: D102
    def empty_log(self) -> None: ...  # noqa: D102
    def bound_gone(self) -> None: ...  # noqa: D102
    def lose_track(self) -> None: ...  # noqa: D102
    def words(self) -> Words: ...  # noqa: D102
    def put_words(  # noqa: D102
        self, old: Any, gone: Collection[int], last_id: int, new: Lexical, generation: int
    ) -> Derived: ...
    def take_embedder(self, identity: str) -> None: ...  # noqa: D102
    def unembedded(self) -> dict[bytes, list[int]]: ...  # noqa: D102
    def embedded_ids(self) -> set[int]: ...  # noqa: D102
    def put_vectors(self, keys: Sequence[bytes], matrix: Matrix) -> None: ...  # noqa: D102
    def share_vectors(self, pairs: Iterable[tuple[bytes, bytes]]) -> None: ...  # noqa: D102
    def vectors(self, ids: Sequence[int]) -> Iterator[tuple[list[int], Matrix]]: ...  # noqa: D102
    def drop_vectors(self) -> None: ...  # noqa: D102
    def drop_spare_vectors(self) -> None: ...  # noqa: D102
    def graph(self, dimensions: int, anew: bool = False) -> Graph: ...  # noqa: D102
    def save_graph(self, graph: Any, generation: int) -> Derived: ...  # noqa: D102
    def nearest(self) -> Meanings: ...  # noqa: D102
    # fmt: on


def create_store(folder: Path) -> Store:
    """Open an index for writing, made where there is none. Raises Damaged, StorageFailed, Unusable."""
    chosen = choice(folder.parent)
    if chosen.store == "postgres":
        return PostgresStore.create(folder, chosen.url, chosen.similarity)
    return SqliteStore.create(folder, chosen.similarity)


def open_store(folder: Path) -> Store:
    """Open an index for reading. Raises NotFound where there is none, Damaged, StorageFailed, Unusable."""
    chosen = choice(folder.parent)
    if chosen.store == "postgres":
        return PostgresStore.open(folder, chosen.url, chosen.similarity)
    return SqliteStore.open(folder, chosen.similarity)


def erase_store(folder: Path) -> None:
    """Delete an index and all that was made from it."""
    erase(folder)
    chosen = choice(folder.parent)
    if chosen.store == "postgres":
        with closing(PostgresStore.open(folder, chosen.url)) as store:
            store.erase()


def choice(folder: Path) -> Choice:
    """Return what was chosen for the indexes in `folder`; SQLite where nothing was."""
    try:
        return Choice(**json.loads((folder / _CHOICE).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return Choice()


def choose(cache: Path, chosen: Choice) -> None:
    """Have the indexes below `cache` (of `Home`) kept as chosen from now on; those kept otherwise stay as they are.

    The file may hold a password, so nobody else may read it. Raises BadRequest for PostgreSQL without an address.
    """
    if chosen.store == "postgres" and not chosen.url:
        raise BadRequest("store is postgres, and store_url does not say where.", "Set store_url in config.toml")
    folder = cache / "index"
    if chosen == choice(folder):
        return
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = folder / f"{_CHOICE}.part"
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(asdict(chosen), file)
    part.replace(folder / _CHOICE)
