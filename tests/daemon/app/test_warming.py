"""Passages are read ahead in the order of their worth, as answers read them, while nobody asks, and within bounds."""

import asyncio
import dataclasses
import os
import time
from pathlib import Path

import pytest

from fake_app import eventually as eventually_within
from fakes import FakeEngine
from lorebook_api.errors import EngineDied, EngineFailed, TooLong
from lorebook_daemon.answer.prompts import stated_prompt
from lorebook_daemon.answer.retrieved import Retrieved, RootHit
from lorebook_daemon.app import warming
from lorebook_daemon.app.engines import Engines
from lorebook_daemon.app.forgetting import text_of
from lorebook_daemon.app.warming import Warmer
from lorebook_daemon.engine.kvplace import kv_bytes_per_token
from lorebook_daemon.engine.protocol import WARMING
from lorebook_daemon.index.lately import passages_of
from lorebook_daemon.index.passage import Passage
from lorebook_daemon.index.storage import index_folder
from lorebook_daemon.index.update import update
from lorebook_daemon.models.shelf import LocalModel
from lorebook_daemon.settings import Settings

pytestmark = pytest.mark.usefixtures("hurry")


def nobody(progress):
    """Hear nothing."""


class Found:
    """A Retriever that finds what it is given."""

    def __init__(self, root, *passages):
        self.hits = tuple(RootHit(str(root), passage, 1.0) for passage in passages)

    async def retrieve(self, query, k):
        return Retrieved(self.hits[:k], "lexical")


def passage(n):
    return Passage(f"found{n}.md", 1, 1, f"found {n}", "doc")


class Scene:
    """A warmer over fake engines of tiny models, whose machine has time to spare where `idle` says so."""

    def __init__(self, home, model_file, **settings):
        self.home = home
        self.idle = True
        self.engine = FakeEngine()
        self.engines = Engines(self._load)
        self.loads = []
        self.model = LocalModel("tiny", model_file, None, "lorebook")
        self.warmer = Warmer(self.engines, home, Settings(**settings), lambda: self.idle)

    async def _load(self, model, report):
        self.loads.append(model.name)
        return self.engine

    def read(self):
        """Return the texts that were read ahead, in order."""
        return [text for call in self.engine.calls if call.what == "warm" for text in call.prompts[0].passages]

    async def ask(self, root, *passages, model=None):
        """Do what a question does: use the engine, and find passages."""
        async with self.engines.using(model or self.model, nobody):
            await self.warmer.noting(Found(root, *passages)).retrieve("question", 10)

    def play(self, acts):
        async def whole():
            running = asyncio.create_task(self.warmer.run())
            try:
                await acts(self)
                assert not running.done()
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
                await self.engines.close()

        asyncio.run(whole())


async def eventually(holds):
    """Wait until `holds()`: long enough for a machine that is busy with other tests."""
    await eventually_within(holds, within_s=15)


async def a_while():
    """Let the warmer look around a few times."""
    await asyncio.sleep(0.1)


@pytest.fixture
def scene(home, model_file):
    return Scene(home, model_file)


@pytest.fixture
def root(home, tmp_path):
    """An indexed root; every file a minute older than the one before it, in order of their names."""
    top = tmp_path / "root"
    top.mkdir()
    now = time.time_ns()
    for age, name in enumerate(("a.md", "b.md", "c.md")):
        (top / name).write_text(f"This is what stands in {name}.")
        os.utime(top / name, ns=(now, now - age * 60 * 10**9))
    (top / "old.md").write_text("Nobody has touched this for long.")
    os.utime(top / "old.md", (1, 1))
    bring_up(home, top)
    return top


def bring_up(home, root):
    update(root, index_folder(home.cache, root), max_file_mb=20, report=nobody)


def texts(home, root, *names):
    folder = index_folder(home.cache, root)
    return [text_of(one) for name in names for one in passages_of(folder, name)]


def test_what_questions_found_comes_first_then_the_open_notebook_then_what_changed_lately(scene, home, root):
    async def acts(scene):
        scene.idle = False
        await scene.ask(root, passage(1), passage(2))
        await scene.ask(root, passage(3), passage(1))
        scene.warmer.opened(root, "c.md")
        scene.warmer.indexed(root)
        scene.idle = True
        found = [text_of(passage(n)) for n in (3, 1, 2)]
        await eventually(lambda: len(scene.read()) >= 6)
        await a_while()
        assert scene.read() == [*found, *texts(home, root, "c.md", "a.md", "b.md")]

    scene.play(acts)


def test_each_is_read_by_itself_and_as_answers_read_it_behind_everybody_else(scene, root):
    async def acts(scene):
        await scene.ask(root, passage(1))
        await eventually(lambda: len(scene.read()) == 4)
        for call in scene.engine.calls:
            assert call.what == "warm"
            assert (call.turn, call.adapters) == (WARMING, ())
            (prompt,) = call.prompts
            answers = stated_prompt("what is it?", prompt.passages[0])
            assert prompt.messages[:-1] == answers.messages[:-1] and prompt.messages[-1].role == "user"
            assert len(prompt.passages) == 1

    scene.play(acts)


def test_no_model_is_loaded_for_it(scene, root):
    async def acts(scene):
        scene.warmer.indexed(root)
        scene.warmer.opened(root, "a.md")
        await a_while()
        assert scene.loads == [] and scene.read() == []

    scene.play(acts)


def test_nothing_is_read_twice_but_by_another_engine(scene, root):
    async def acts(scene):
        await scene.ask(root, passage(1))
        await eventually(lambda: len(scene.read()) == 4)
        scene.warmer.indexed(root)
        await scene.ask(root, passage(1))
        await a_while()
        assert len(scene.read()) == 4
        scene.engine = FakeEngine()
        await scene.ask(root, model=dataclasses.replace(scene.model, name="another"))
        await eventually(lambda: len(scene.read()) == 4)

    scene.play(acts)


def test_what_comes_anew_is_read_then(scene, home, root):
    async def acts(scene):
        await scene.ask(root)
        scene.warmer.indexed(root)
        await eventually(lambda: len(scene.read()) == 3)
        (root / "new.md").write_text("This is new.")
        bring_up(home, root)
        scene.warmer.indexed(root)
        await eventually(lambda: len(scene.read()) == 4)
        assert scene.read()[3:] == texts(home, root, "new.md")

    scene.play(acts)


def test_a_machine_that_is_busy_is_left_alone(scene, root):
    async def acts(scene):
        scene.idle = False
        await scene.ask(root, passage(1))
        await a_while()
        assert scene.read() == []
        scene.idle = True
        await eventually(lambda: scene.read() != [])

    scene.play(acts)


def test_nothing_is_read_while_somebody_uses_the_engine(scene, root):
    async def acts(scene):
        async with scene.engines.using(scene.model, nobody):
            await scene.warmer.noting(Found(root, passage(1))).retrieve("question", 10)
            await a_while()
            assert scene.read() == []
        await eventually(lambda: scene.read() != [])

    scene.play(acts)


@pytest.mark.parametrize("name", ["tiny", "another"])
def test_reading_stops_at_once_for_a_question_and_goes_on_after_it(scene, root, monkeypatch, name):
    begun, ended = [], []
    may_end = asyncio.Event()
    warm = scene.engine.warm

    async def slow(prompts, *rest):
        begun.append(prompts[0].passages[0])
        try:
            await may_end.wait()
        except asyncio.CancelledError:
            ended.append(prompts[0].passages[0])
            raise
        return await warm(prompts, *rest)

    monkeypatch.setattr(scene.engine, "warm", slow)

    async def acts(scene):
        await scene.ask(root, passage(1))
        await eventually(lambda: begun != [])
        async with asyncio.timeout(15), scene.engines.using(dataclasses.replace(scene.model, name=name), nobody):
            await eventually(lambda: ended == [text_of(passage(1))])
            assert scene.engines.depth == 1
        may_end.set()
        await eventually(lambda: len(scene.read()) == 4)
        assert scene.read()[0] == text_of(passage(1))

    scene.play(acts)


def test_no_more_is_read_than_half_of_the_memory_holds(home, model_file, monkeypatch):
    scene = Scene(home, model_file, kv_memory_mb=1)
    room = 2**20 // 2 // kv_bytes_per_token(model_file)
    words = "word " * (room // 3)
    found = [Passage(f"{n}.md", 1, 1, f"{n} {words}", "doc") for n in range(5)]

    async def acts(scene):
        await scene.ask("/nowhere", *found)
        await eventually(lambda: len(scene.read()) == 2)
        await a_while()
        assert scene.read() == [text_of(one) for one in found[:2]], "and not a later one that might fit"
        tokens = sum(
            sum(size.passages) for size in await scene.engine.count([call.prompts[0] for call in scene.engine.calls])
        )
        assert room / 2 < tokens <= room

    scene.play(acts)


@pytest.mark.parametrize("settings", [{"kv_reuse": "off"}, {"kv_reuse": "prefix"}, {"engine": "openai"}])
def test_where_nothing_would_be_kept_nothing_is_read_but_what_went_is_forgotten(home, model_file, root, settings):
    scene = Scene(home, model_file, **settings)

    async def acts(scene):
        scene.engine.kept = set(texts(home, root, "a.md", "b.md"))
        await scene.ask(root, passage(1))
        await a_while()
        assert scene.read() == []
        (root / "a.md").unlink()
        bring_up(home, root)
        scene.warmer.indexed(root)
        await eventually(lambda: scene.engine.kept == set(texts(home, root, "b.md")))

    scene.play(acts)


def test_what_went_is_forgotten_and_not_read_again(scene, home, root):
    async def acts(scene):
        (gone,) = passages_of(index_folder(home.cache, root), "a.md")
        await scene.ask(root, gone)
        await eventually(lambda: len(scene.engine.kept) == 3)
        scene.idle = False
        await scene.ask(root, passage(1), gone)
        (root / "a.md").unlink()
        bring_up(home, root)
        scene.warmer.indexed(root)
        await eventually(lambda: text_of(gone) not in scene.engine.kept)
        before = len(scene.read())
        scene.engine.kept.clear()
        scene.engine.calls.clear()
        scene.idle = True
        scene.warmer.indexed(root)
        await a_while()
        assert text_of(gone) not in scene.read()
        assert before == 3

    scene.play(acts)


@pytest.mark.parametrize("error", [TooLong("too long"), EngineFailed("no")])
def test_one_that_cannot_be_read_is_passed_over(scene, root, monkeypatch, error):
    tried = failing(scene, monkeypatch, error)

    async def acts(scene):
        await scene.ask(root, passage(1))
        await eventually(lambda: len(scene.read()) == 3)
        await a_while()
        assert tried == [text_of(passage(1))]

    scene.play(acts)


def test_one_that_ends_the_engine_is_never_tried_again_and_the_others_after_the_next_question(scene, root, monkeypatch):
    tried = failing(scene, monkeypatch, EngineDied("it died"))

    async def acts(scene):
        await scene.ask(root, passage(1))
        await eventually(lambda: tried != [])
        await a_while()
        assert scene.read() == [], "reading on would start the engine again, and maybe crash it again"
        await scene.ask(root, passage(1), passage(2))
        await eventually(lambda: len(scene.read()) == 4)
        assert tried == [text_of(passage(1))]

    scene.play(acts)


def failing(scene, monkeypatch, error):
    """Have the engine fail with `error` at the first passage of the tests; return the times that it was tried."""
    warm, tried = scene.engine.warm, []

    async def fails(prompts, *rest):
        if prompts[0].passages[0] == text_of(passage(1)):
            tried.append(prompts[0].passages[0])
            raise error
        return await warm(prompts, *rest)

    monkeypatch.setattr(scene.engine, "warm", fails)
    return tried


def test_a_model_whose_file_cannot_be_read_has_nothing_read(scene, root, tmp_path, caplog):
    async def acts(scene):
        await scene.ask(root, passage(1), model=LocalModel("gone", tmp_path / "gone.gguf", None, "lorebook"))
        await a_while()
        assert scene.read() == [] and "nothing is read ahead" in caplog.text

    scene.play(acts)


def test_what_nobody_foresaw_is_logged_and_does_not_end_the_work(scene, root, monkeypatch, caplog):
    async def acts(scene):
        with monkeypatch.context() as patch:
            patch.setattr(scene.engine, "count", None)
            await scene.ask(root, passage(1))
            await eventually(lambda: "reading ahead failed" in caplog.text)
        assert scene.read() == []
        scene.warmer.indexed(root)
        await eventually(lambda: scene.read() != [])

    scene.play(acts)


def test_what_is_remembered_is_bounded(scene, monkeypatch):
    monkeypatch.setattr(warming, "_FOUND", 3)

    async def acts(scene):
        scene.idle = False
        await scene.ask("/one", *(passage(n) for n in range(5)))
        for n in range(20):
            scene.warmer.indexed(Path(f"/root{n}"))
            scene.warmer.opened(Path(f"/root{n}"), "a.md")
        assert len(scene.warmer._found) == 3 and len(scene.warmer._roots) == 8 and len(scene.warmer._notebooks) == 2
        scene.idle = True
        await eventually(lambda: len(scene.read()) == 3)
        assert scene.read() == [text_of(passage(n)) for n in range(3)], "the best of them"

    scene.play(acts)


def test_it_ends_at_whatever_moment_it_is_told_to(scene, root):
    async def whole():
        scene.warmer.indexed(root)
        await scene.ask(root, *(passage(n) for n in range(40)))
        for n in range(80):
            if n % 40 == 0:
                scene.engine.calls.clear()
                scene.warmer._read.clear()
            running = asyncio.create_task(scene.warmer.run())
            await asyncio.sleep(n * 7 % 25 / 1000)
            for _ in range(n % 7):
                await asyncio.sleep(0)
            if n % 2:
                scene.warmer.indexed(root)  # what it may be waiting for comes in the same moment
            running.cancel()
            await asyncio.wait({running}, timeout=15)
            assert running.cancelled()
        assert scene.read() != []
        await scene.engines.close()

    asyncio.run(whole())
