"""The queries about the notebooks of `collection/`, with the cells that answer each; see README.md."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchmarks.corpora import Corpus, Question, Target
from lorebook_daemon.index.embed import Embedder, passage_text
from lorebook_daemon.index.passage import Passage
from lorebook_daemon.index.split import read_passages

HERE = Path(__file__).resolve().parent
COLLECTION = HERE / "collection"
KINDS = ("words", "code", "outputs", "explanations")
NAMED = ("names", "errors")
"""Kinds of the queries beside those: for the cell that sets a name, and for one that failed."""
DEVELOPMENT, TEST, SECOND = "development", "test", "second"
SPLITS = (DEVELOPMENT, TEST, SECOND)
_EVERY_THIRD = 3
_LAST_OF_THE_FIRST = 150  # what came later was written after systems had been seen on those, and blindly


@dataclass(frozen=True)
class Query:
    """What is asked, and the ids of the cells of one notebook that answer it; any one of them counts."""

    id: str
    kind: str
    text: str
    notebook: str
    cells: tuple[str, ...]
    note: str = ""

    @property
    def split(self) -> str:
        """The part that the query belongs to: every third number is for development, the rest for either test."""
        number = int(self.id[1:])
        if number % _EVERY_THIRD == 0:
            return DEVELOPMENT
        return TEST if number <= _LAST_OF_THE_FIRST else SECOND


def read_queries() -> list[Query]:
    """Return all queries, in the order of their ids."""
    rows = [json.loads(line) for line in (HERE / "queries.jsonl").read_text(encoding="utf-8").splitlines()]
    return [
        Query(row["id"], row["kind"], row["query"], row["notebook"], tuple(row["cells"]), row["note"]) for row in rows
    ]


def read_named() -> list[tuple[str, Question]]:
    """Return the kind and the question of each query of `names.jsonl`, in the order of their ids."""
    rows = [json.loads(line) for line in (HERE / "names.jsonl").read_text(encoding="utf-8").splitlines()]
    return [(row["kind"], _asked(row["query"], [tuple(cell) for cell in row["cells"]])) for row in rows]


@cache
def read_cells(notebook: str) -> dict[str, int]:
    """Return where each cell of a notebook stands, from 0, by the cell's id."""
    cells = json.loads((COLLECTION / notebook).read_text(encoding="utf-8"))["cells"]
    return {cell["id"]: place for place, cell in enumerate(cells)}


def read_notebooks() -> list[Passage]:
    """Return all passages of the collection, as the product cuts them."""
    files = sorted(COLLECTION.glob("*.ipynb"))
    return [passage for file in files for passage in read_passages(file, file.name)]


def corpus(queries: Iterable[Query], embedder: Embedder) -> Corpus:
    """Return the whole collection and these queries."""
    passages = read_notebooks()
    asked = [_question(query) for query in queries]
    return Corpus(passages, embedder.embed([passage_text(one) for one in passages]), asked)


def _question(query: Query) -> Question:
    return _asked(query.text, [(query.notebook, cell) for cell in query.cells])


def _asked(text: str, cells: Iterable[tuple[str, str]]) -> Question:
    targets = (Target(notebook, cell=read_cells(notebook)[id_]) for notebook, id_ in cells)
    return Question(text, tuple(targets), any_one=True)
