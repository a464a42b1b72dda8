"""Questions are written ahead after passages were read, while nobody asks, once for each; and searches look at them."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

import fakes
from fake_app import Bench, client_of, eventually
from lorebook_api.errors import EngineFailed, NotFound
from lorebook_api.home import Home
from lorebook_daemon.answer.doc2query import Questions
from lorebook_daemon.answer.retrieved import Retrieved, RootHit
from lorebook_daemon.app.engines import Engines
from lorebook_daemon.app.forgetting import Forgetter, text_of
from lorebook_daemon.app.warming import Warmer
from lorebook_daemon.app.writing_ahead import Ahead
from lorebook_daemon.index.embed import Embedder
from lorebook_daemon.index.passage import Passage
from lorebook_daemon.index.records import Gone
from lorebook_daemon.models.shelf import LocalModel
from lorebook_daemon.settings import Settings

pytestmark = pytest.mark.usefixtures("hurry")

PASSAGES = tuple(Passage(f"found{n}.md", 1, 1, f"found {n}", "doc") for n in range(3))


class Found:
    async def retrieve(self, query: str, k: int) -> Retrieved:
        return Retrieved(tuple(RootHit("/root", passage, 1.0) for passage in PASSAGES)[:k], "lexical")


async def hashing() -> Embedder:
    return fakes.HashEmbedder()


class Scene:
    """A warmer that writes questions, over a fake engine."""

    def __init__(self, home: Home, model_file: Path, engine: fakes.FakeEngine) -> None:
        self.home, self.engine = home, engine
        self.ahead = Ahead(home, hashing)
        self.engines = Engines(self._load)
        self.model = LocalModel("tiny", model_file, None, "lorebook")
        self.warmer = Warmer(self.engines, home, Settings(), lambda: True, self.ahead)

    async def _load(self, model: LocalModel, report: object) -> fakes.FakeEngine:
        return self.engine

    def did(self, what: str) -> list[str]:
        return [text for call in self.engine.calls if call.what == what for text in call.prompts[0].passages]

    async def ask(self) -> None:
        async with self.engines.using(self.model, lambda progress: None):
            await self.warmer.noting(Found()).retrieve("question", 10)

    def missing(self) -> list[str]:
        return Questions(self.home.cache, fakes.HashEmbedder()).missing([text_of(one) for one in PASSAGES])

    def play(self, acts: Callable[[], Awaitable[None]]) -> None:
        async def whole() -> None:
            running = asyncio.create_task(self.warmer.run())
            try:
                await acts()
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
                await self.engines.close()

        asyncio.run(whole())


def test_questions_are_written_once_for_each_passage_after_all_were_read(home: Home, model_file: Path) -> None:
    scene = Scene(home, model_file, fakes.FakeEngine(answer="What was found?"))

    async def acts() -> None:
        await scene.ask()
        await eventually(lambda: not scene.missing(), 15)
        await scene.ask()
        await asyncio.sleep(0.1)

    scene.play(acts)
    texts = [text_of(passage) for passage in PASSAGES]
    assert scene.did("generate") == scene.did("warm") == texts
    assert [call.what for call in scene.engine.calls][:6] == ["warm"] * 3 + ["generate"] * 3


def test_writing_gives_way_to_who_asks_and_goes_on_afterwards(home: Home, model_file: Path) -> None:
    scene = Scene(home, model_file, fakes.FakeEngine(answer="What was found?", pause_s=0.03))

    async def acts() -> None:
        await scene.ask()
        await eventually(lambda: scene.engine.running == 1, 15)
        await scene.ask()
        await eventually(lambda: scene.engine.cancelled == 1, 15)
        await eventually(lambda: not scene.missing(), 15)

    scene.play(acts)


def test_a_passage_that_the_engine_refuses_is_left_out(home: Home, model_file: Path) -> None:
    class Refusing(fakes.FakeEngine):
        async def generate(self, prompt, *rest):
            if "found 0" in prompt.passages[0]:
                raise EngineFailed("no")
            async for piece in super().generate(prompt, *rest):
                yield piece

    scene = Scene(home, model_file, Refusing(answer="What was found?"))

    async def acts() -> None:
        await scene.ask()
        await eventually(lambda: len(scene.missing()) == 1, 15)

    scene.play(acts)
    assert scene.missing() == [text_of(PASSAGES[0])]


def test_what_was_written_of_a_passage_goes_with_it(home: Home) -> None:
    questions = Questions(home.cache, fakes.HashEmbedder())
    texts = [text_of(passage) for passage in PASSAGES]
    for text in texts:
        questions.put(text, ("Why?",))
    forgetter = Forgetter(Engines(lambda model, report: None), home)
    asyncio.run(forgetter._drop(Gone(1, PASSAGES[:1])))
    assert questions.missing(texts) == texts[:1]
    asyncio.run(forgetter._drop(Gone(1, (), everything=True)))
    assert questions.missing(texts) == texts


def searched(bench: Bench, root: Path) -> list[str]:
    with client_of(bench) as client:
        response = client.post("/api/search", json={"query": "rows rate", "roots": [str(root)]})
    return [result["path"] for result in response.json()["results"]]


def look_ahead(bench: Bench, home: Home, embedder: Callable[[], Awaitable[Embedder]]) -> None:
    warmer = Warmer(bench.parts.engines, home, Settings(), ahead=Ahead(home, embedder))
    bench.parts = dataclasses.replace(bench.parts, warmer=warmer)


def test_a_search_looks_at_what_was_written(bench: Bench, notes: Path, home: Home) -> None:
    before = searched(bench, notes)
    last = before[-1]
    text = text_of(Passage(last, 1, 1, (notes / last).read_text(), "doc"))
    Questions(home.cache, fakes.HashEmbedder()).put(text, ("rows rate",))
    other = text_of(Passage(before[0], 1, 1, (notes / before[0]).read_text(), "doc"))
    Questions(home.cache, fakes.HashEmbedder()).put(other, ("wholly different",))
    assert searched(bench, notes) == before
    look_ahead(bench, home, hashing)
    assert searched(bench, notes) == before[::-1]


def test_without_an_embedder_a_search_goes_on_without_them(bench: Bench, notes: Path, home: Home) -> None:
    async def none() -> Embedder:
        raise NotFound("There is no embedder.")

    before = searched(bench, notes)
    look_ahead(bench, home, none)
    assert searched(bench, notes) == before
