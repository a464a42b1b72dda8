"""Questions written ahead: the model writes what a passage answers, and a search looks at that beside the passage.

Nogueira and others, arXiv:1904.08375. The words of a question are seldom those of the cell that answers it; they are
rather like those of another question. Writing takes seconds a passage, so it is done while nobody asks (see
`app/writing_ahead.py`); looking at what was written takes a millisecond.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from lorebook_api.asking import Sampling
from lorebook_daemon.answer.prompts import passage_text, questions_prompt
from lorebook_daemon.answer.retrieved import Retrieved, Retriever, RootHit
from lorebook_daemon.engine.diskblocks import passage_digest
from lorebook_daemon.engine.protocol import WARMING, Engine, Token
from lorebook_daemon.index.embed import Embedder
from lorebook_daemon.index.storage import Damaged, storage

T = TypeVar("T")

# Measured on the development queries of benchmarks/notebooks/: see benchmarks/README.md, "rerank".
POOL = 50  # passages of the first search whose questions are looked at
SHARE = 0.5  # of the best score that a passage gains whose question is the very one that is asked

_GRAMMAR = 'root ::= line "\\n" line "\\n" line\nline ::= [A-Z] [^\\n?]+ "?"'
_MOST_TOKENS = 80
_FILE = "questions.sqlite3"
_VECTORS = "SELECT passage, vector FROM questions WHERE embedder = ? AND vector != x''"
_TABLE = "CREATE TABLE IF NOT EXISTS questions (passage BLOB, embedder TEXT, question TEXT, vector BLOB)"


async def write_questions(text: str, engine: Engine) -> tuple[str, ...]:
    """Return up to three questions that a passage (as the model reads it) answers. Raises what the engine raises."""
    written = ""
    told = engine.generate(questions_prompt(text), Sampling(grammar=_GRAMMAR), _MOST_TOKENS, (), WARMING)
    async with contextlib.aclosing(told) as pieces:
        async for piece in pieces:
            written += piece.text if isinstance(piece, Token) else ""
    lines = (line.strip() for line in written.split("\n"))
    return tuple(dict.fromkeys(line for line in lines if line.endswith("?")))


class Questions:
    """What was written ahead, by the passage's text, with a vector for each question. Safe to use from any thread.

    One file for all roots; what is written for another embedder does not count, and a damaged file is made anew. All
    methods raise StorageFailed and Conflict.
    """

    def __init__(self, folder: Path, embedder: Embedder) -> None:
        """Keep the questions in a file of `folder`, made once there is something to keep."""
        self._folder, self._embedder = folder, embedder

    def missing(self, texts: Sequence[str]) -> list[str]:
        """Return those of the passages for which nothing was written yet."""
        select = "SELECT DISTINCT passage FROM questions WHERE embedder = ?"
        known = {passage for (passage,) in _rows(self._folder, select, (self._embedder.identity,))}
        return [text for text in texts if passage_digest(text) not in known]

    def put(self, text: str, questions: Sequence[str]) -> None:
        """Keep the questions of a passage in place of what was kept for it; none means that it was seen to."""
        digest, identity = passage_digest(text), self._embedder.identity
        vectors = self._embedder.embed(list(questions)) if questions else ()
        rows = [
            (digest, identity, question, vector.astype("<f2").tobytes())
            for question, vector in zip(questions, vectors, strict=True)
        ]

        def write(database: sqlite3.Connection) -> None:
            database.execute("DELETE FROM questions WHERE passage = ?", (digest,))
            database.executemany("INSERT INTO questions VALUES (?, ?, ?, ?)", rows or [(digest, identity, "", b"")])

        _use(self._folder, write, None)

    def nearness(self, query: str, texts: Sequence[str]) -> list[float | None]:
        """Return, for each passage, how near its nearest question is to the query (cosine); None where it has none."""
        digests = [passage_digest(text) for text in texts]
        marks = ",".join("?" * len(digests))
        select = f"{_VECTORS} AND passage IN ({marks})"
        found = _rows(self._folder, select, (self._embedder.identity, *digests))
        if not found:
            return [None] * len(texts)
        matrix = np.stack([np.frombuffer(vector, "<f2") for _, vector in found]).astype(np.float32)
        nearest: dict[bytes, float] = {}
        for (passage, _), cosine in zip(found, (matrix @ self._embedder.embed([query])[0]).tolist(), strict=True):
            nearest[passage] = max(cosine, nearest.get(passage, -1.0))
        return [nearest.get(digest) for digest in digests]


def drop_questions(folder: Path, texts: Collection[str] | None) -> None:
    """Drop what was written for these passages, for all where it is None. Raises StorageFailed and Conflict."""
    every, one = "DELETE FROM questions", "DELETE FROM questions WHERE passage = ?"

    def drop(database: sqlite3.Connection) -> None:
        if texts is None:
            database.execute(every)
        else:
            database.executemany(one, [(passage_digest(text),) for text in texts])

    if (folder / _FILE).is_file():
        _use(folder, drop, None)


def _rows(folder: Path, select: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
    if not (folder / _FILE).is_file():
        return []
    return _use(folder, lambda database: database.execute(select, values).fetchall(), [])


def _use(folder: Path, work: Callable[[sqlite3.Connection], T], nothing: T) -> T:
    """Return what `work` makes of the database in one transaction; a damaged one is deleted, and holds `nothing`."""
    file = folder / _FILE
    with storage(folder):
        try:
            with storage(folder), contextlib.closing(sqlite3.connect(file, timeout=10.0)) as database:
                database.execute("PRAGMA secure_delete = ON")  # what was deleted must not be found in the file
                with database:
                    database.execute(_TABLE)
                    database.execute("CREATE INDEX IF NOT EXISTS of_passage ON questions (passage)")
                    return work(database)
        except Damaged:
            file.unlink(missing_ok=True)
            return nothing


@dataclass(frozen=True)
class Foreseen:
    """A Retriever that raises passages of another one whose questions, written ahead, are like the one asked."""

    retriever: Retriever
    questions: Callable[[], Awaitable[Questions | None]]

    async def retrieve(self, query: str, k: int) -> Retrieved:
        """Return at most `k` passages, best first."""
        questions = await self.questions()
        if questions is None:
            return await self.retriever.retrieve(query, k)
        found = await self.retriever.retrieve(query, max(k, POOL))
        texts = [passage_text(hit) for hit in found.hits]
        nearest = await asyncio.to_thread(questions.nearness, query, texts)
        return replace(found, hits=raised(found.hits, nearest)[:k])


def raised(hits: Sequence[RootHit], nearest: Sequence[float | None], share: float = SHARE) -> tuple[RootHit, ...]:
    """Return the hits in their new order: each gains by how near its nearest question is, of the best score.

    A passage without questions gains what those with questions do on average, so that having been read ahead is
    neither merit nor fault. The hits share out the scores that they had.
    """
    known = [value for value in nearest if value is not None]
    if not known:
        return tuple(hits)
    mean, best = sum(known) / len(known), hits[0].score
    gains = [share * best * (mean if value is None else value) for value in nearest]
    order = sorted(range(len(hits)), key=lambda n: -(hits[n].score + gains[n]))
    return tuple(replace(hits[old], score=hits[new].score) for new, old in enumerate(order))
