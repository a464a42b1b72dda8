"""The queries about the files of `project/`, with the passages that answer each; see README.md."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.corpora import Corpus, Question, Target
from benchmarks.notebooks.queries import read_notebooks
from lorebook_api.indexing import Skipped
from lorebook_daemon.index.embed import Embedder, passage_text
from lorebook_daemon.index.passage import Passage
from lorebook_daemon.index.split import read_passages
from lorebook_daemon.index.walk import walk

HERE = Path(__file__).resolve().parent
PROJECT = HERE / "project"
KINDS = ("import", "run", "pair")


@dataclass(frozen=True)
class Query:
    """What is asked, the file that answers, and what stands in its right passages; any one of them counts."""

    id: str
    kind: str
    text: str
    path: str
    holds: tuple[str, ...]

    def question(self, passages: list[Passage]) -> Question:
        """Return the question with its targets; raises ValueError where one stands nowhere."""
        targets = [target for phrase in self.holds if (target := _target(self.path, phrase, passages))]
        if len(targets) != len(self.holds):
            raise ValueError(f"{self.id}: not in {self.path}")
        return Question(self.text, tuple(targets), any_one=True)


def read_queries() -> list[Query]:
    """Return all queries, in the order of the file."""
    rows = [json.loads(line) for line in (HERE / "queries.jsonl").read_text(encoding="utf-8").splitlines()]
    return [Query(row["id"], row["kind"], row["query"], row["path"], tuple(row["holds"])) for row in rows]


def corpus(embedder: Embedder) -> Corpus:
    """Return the project with all queries, and beside it the notebooks of the other benchmark, to be told apart."""
    passages = [*_project(), *(replace(one, path=f"other/{one.path}") for one in read_notebooks())]
    asked = [query.question(passages) for query in read_queries()]
    return Corpus(passages, embedder.embed([passage_text(one) for one in passages]), asked)


def _project() -> Iterator[Passage]:
    for file in walk(PROJECT, max_file_mb=20):
        if not isinstance(file, Skipped):
            yield from read_passages(PROJECT / file.path, file.path)


def _target(path: str, phrase: str, passages: list[Passage]) -> Target | None:
    for passage in passages:
        if passage.path != path or phrase not in passage.text:
            continue
        if passage.cell is not None:
            return Target(path, cell=passage.cell.index)
        line = passage.start_line + passage.text[: passage.text.index(phrase)].count("\n")
        return Target(path, (line, line))
    return None
