"""Questions written ahead: the model writes what a passage answers, and a search looks at that beside the passage.

Nogueira and others, arXiv:1904.08375. The words of a question are seldom those of the cell that answers it; they are
rather like those of another question. Writing takes seconds a passage, so it is done while nobody asks (see
`app/writing_ahead.py`); looking at what was written takes a millisecond.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from lorebook_api.errors import StorageFailed
from lorebook_api.schema import Sampling
from lorebook_daemon.answer.prompts import passage_text, questions_prompt
from lorebook_daemon.answer.retrieved import Retrieved, Retriever, RootHit
from lorebook_daemon.engine.diskblocks import passage_digest
from lorebook_daemon.engine.protocol import WARMING, Engine, Token, Turn
from lorebook_daemon.index.embed import Embedder, Matrix

# Measured on the development queries of benchmarks/notebooks/: see benchmarks/README.md, "rerank".
POOL = 50  # passages of the first search whose questions are looked at
SHARE = 0.3  # of the best score that a passage gains whose question is the very one that is asked

_GRAMMAR = 'root ::= line "\\n" line "\\n" line\nline ::= [A-Z] [^\\n?]+ "?"'
_MOST_TOKENS = 80
_FILE = "questions.sqlite3"


async def write_questions(text: str, engine: Engine, turn: Turn = WARMING) -> tuple[str, ...]:
    """Return up to three questions that a passage (as the model reads it) answers. Raises what the engine raises."""
    written = ""
    sampling = Sampling(grammar=_GRAMMAR)
    async with contextlib.aclosing(engine.generate(questions_prompt(text), sampling, _MOST_TOKENS, (), turn)) as pieces:
        async for piece in pieces:
            written += piece.text if isinstance(piece, Token) else ""
    lines = (line.strip() for line in written.split("\n"))
    return tuple(dict.fromkeys(line for line in lines if line.endswith("?")))


class Questions:
    """What was written ahead, by the passage's text, with a vector for each question. Safe to use from any thread.

    One file for all roots. What is written for another embedder does not count. Raises StorageFailed.
    """

    def __init__(self, folder: Path, embedder: Embedder) -> None:
        """Keep the questions in a file of `folder`, made once there is something to keep."""
        self._file, self._embedder = folder / _FILE, embedder
        self._lock = Lock()

    def missing(self, texts: Sequence[str]) -> list[str]:
        """Return those of the passages for which nothing was written yet."""
        known = self._rows("SELECT DISTINCT passage FROM questions WHERE embedder = ?", (self._embedder.identity,))
        digests = {passage for (passage,) in known}
        return [text for text in texts if passage_digest(text) not in digests]

    def put(self, text: str, questions: Sequence[str]) -> None:
        """Keep the questions of a passage in place of what was kept for it; none means that it was seen to."""
        matrix = self._embedder.embed(list(questions)) if questions else np.zeros((0, 0), np.float32)
        digest, identity = passage_digest(text), self._embedder.identity
        rows = [(digest, identity, question, row.astype("<f2").tobytes()) for question, row in zip(questions, matrix)]  # noqa: B905
        with self._open() as database:
            database.execute("DELETE FROM questions WHERE passage = ?", (digest,))
            database.executemany("INSERT INTO questions VALUES (?, ?, ?, ?)", rows or [(digest, identity, "", b"")])

    def nearness(self, query: str, texts: Sequence[str]) -> list[float | None]:
        """Return, for each passage, how near its nearest question is to the query (cosine); None where it has none."""
        wanted = {passage_digest(text): n for n, text in enumerate(texts)}
        marks = ",".join("?" * len(wanted))
        found = self._rows(
            f"SELECT passage, vector FROM questions WHERE embedder = ? AND question != '' AND passage IN ({marks})",  # noqa: S608
            (self._embedder.identity, *wanted),
        )
        nearest: list[float | None] = [None] * len(texts)
        if not found:
            return nearest
        matrix: Matrix = np.stack([np.frombuffer(vector, "<f2") for _, vector in found]).astype(np.float32)
        for (passage, _), cosine in zip(found, matrix @ self._embedder.embed([query])[0], strict=True):
            known = nearest[wanted[passage]]
            nearest[wanted[passage]] = float(cosine) if known is None else max(known, float(cosine))
        return nearest

    def forget(self, texts: Collection[str]) -> None:
        """Drop what was written for these passages."""
        if self._file.is_file():
            with self._open() as database:
                database.executemany("DELETE FROM questions WHERE passage = ?", [(passage_digest(t),) for t in texts])

    def _rows(self, select: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        if not self._file.is_file():
            return []
        with self._open() as database:
            return database.execute(select, values).fetchall()

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """Open the file for one transaction; one that is damaged is made anew, since all in it can be written again."""
        try:
            with self._lock, contextlib.closing(sqlite3.connect(self._file, timeout=10.0)) as database:
                database.execute("PRAGMA secure_delete = ON")
                database.execute(
                    "CREATE TABLE IF NOT EXISTS questions (passage BLOB, embedder TEXT, question TEXT, vector BLOB)"
                )
                database.execute("CREATE INDEX IF NOT EXISTS of_passage ON questions (passage)")
                with database:
                    yield database
        except sqlite3.OperationalError as error:
            raise StorageFailed(f"{self._file} cannot be used ({error}).", "Free some space, or delete it.") from error


@dataclass(frozen=True)
class Foreseen:
    """A Retriever that raises passages of another one whose questions, written ahead, are like the one asked."""

    retriever: Retriever
    questions: Callable[[], Questions | None]

    async def retrieve(self, query: str, k: int) -> Retrieved:
        """Return at most `k` passages, best first."""
        questions = self.questions()
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
