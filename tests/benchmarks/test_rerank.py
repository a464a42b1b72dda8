"""The benchmark of reranking: its follow-up questions are sound, and what an engine said is kept and told again."""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

import fakes
from benchmarks import kept_engine, rerank
from benchmarks.corpora import Question
from benchmarks.kept_engine import KeptEngine
from benchmarks.notebooks.queries import read_queries
from lorebook_api.asking import Sampling
from lorebook_daemon.answer.prompts import question_prompt, stated_prompt
from lorebook_daemon.answer.retrieved import Retrieved, RootHit
from lorebook_daemon.answer.rewriting import is_follow_up
from lorebook_daemon.engine.protocol import Token
from lorebook_daemon.index.passage import Passage
from lorebook_daemon.models.shelf import LocalModel

ROWS = [json.loads(line) for line in (Path(rerank.__file__).parent / "follow_ups.jsonl").read_text().splitlines()]


def test_follow_ups_are_of_known_queries_each_once() -> None:
    known = {query.id for query in read_queries()}
    assert {row["of"] for row in ROWS} <= known
    assert len({row["id"] for row in ROWS}) == len(ROWS) == 36
    assert all(row.keys() == {"id", "of", "before", "answer", "question"} for row in ROWS)


def test_nearly_all_follow_ups_are_taken_for_what_they_are_and_few_other_queries() -> None:
    assert sum(is_follow_up(row["question"]) for row in ROWS) >= 34
    queries = read_queries()
    assert sum(is_follow_up(query.text) for query in queries) <= len(queries) // 5


def test_what_an_engine_said_is_kept_and_told_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = fakes.FakeEngine()

    @asynccontextmanager
    async def running(home, model):
        yield engine

    monkeypatch.setattr(kept_engine, "running_at", running)
    prompts = [stated_prompt("when?", text) for text in ("when it rains", "never")]

    async def run() -> list[object]:
        async with KeptEngine(
            LocalModel("tiny", Path("tiny.gguf"), None, "lorebook"), tmp_path / "kept.sqlite3"
        ) as kept:
            judged = [await kept.judge(prompts[:1]), await kept.judge(prompts)]
            likely = await kept.likelihood([question_prompt("it rains")], "rains")
            said = [p.text async for p in kept.generate(prompts[0], Sampling(), 9) if isinstance(p, Token)]
            return [*judged, likely, "".join(said)]

    first = asyncio.run(run())
    assert [len(call.prompts) for call in engine.calls] == [1, 1, 1, 1]
    assert first[0] == first[1][:1] and first[3] == "when it rains"
    assert asyncio.run(run()) == first
    assert len(engine.calls) == 4


def test_milliseconds_are_told_of_the_reader_and_of_each_rewriter(monkeypatch, capsys) -> None:
    @asynccontextmanager
    async def running(model):
        yield fakes.FakeEngine(answer="The_first\nA second\nA third")

    hits = tuple(
        RootHit("", Passage(f"{n}.md", 1, 1, f"note {n} of the fares", "doc"), 0.5 - n / 1000) for n in range(3)
    )

    class Always:
        def hits(self, query, k):
            return hits[:k]

        async def retrieve(self, query, k):
            return Retrieved(hits[:k], "hybrid")

    monkeypatch.setattr(rerank, "running", running)
    monkeypatch.setattr(rerank, "find_model", lambda name: name)
    asked = [rerank.Asked(Question("what are the fares?", ()))]
    bench = rerank.Bench("few", asked, Always(), fakes.HashEmbedder(), fakes.FakeEngine(), 3)
    options = argparse.Namespace(model="tiny", ways=["model", *rerank.WRITERS])
    asyncio.run(rerank._print_times(bench, options))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[2:]] == ["model", "identifiers", "hyde", "multi-query"]
    assert all(re.search(r"\d", line) for line in lines[2:])


@pytest.mark.parametrize(("asked", "ways"), [(["--times"], ["model", *rerank.WRITERS]), ([], ["model"])])
def test_what_is_timed_where_no_way_is_named(monkeypatch, asked, ways) -> None:
    seen = []

    async def run(options, kept):
        seen.append(options.ways)

    monkeypatch.setattr(rerank, "_run", run)
    monkeypatch.setattr(sys, "argv", ["rerank", *asked])
    rerank.main()
    assert seen == [ways]
