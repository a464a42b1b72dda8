import asyncio
import threading

import pytest

import fakes
from fake_app import eventually
from lorebook_api.errors import NotFound, StorageFailed
from lorebook_daemon.app import modelroom
from lorebook_daemon.app.modelroom import engines_at, models_at
from lorebook_daemon.engine.process import EngineProcess
from lorebook_daemon.models import shelf
from lorebook_daemon.models.catalogue import answering
from lorebook_daemon.settings import Settings


def nobody(progress):
    """Hear nothing."""


@pytest.fixture
def whole(home, monkeypatch):
    """Have both answering models here, without their bytes."""
    monkeypatch.setattr(shelf, "read_header", lambda path: type("Header", (), {"kind": "model"}))
    for known in answering():
        known.place(home.models).write_bytes(b"GGUF")
    return home


def test_auto_stays_what_it_was_while_its_own_weight_takes_the_memory(whole, monkeypatch):
    large, small = (known.name for known in answering())
    choices = iter([large, small, small])
    monkeypatch.setattr(shelf, "choose_here", lambda home: next(choices))
    models = models_at(whole, Settings(offline=True))

    async def scene():
        first = await models.find("auto", nobody)
        assert first.name == large
        assert await models.find("auto", nobody) == first
        first.path.unlink()
        assert (await models.find("auto", nobody)).name == small

    asyncio.run(scene())


def test_offline_a_model_that_is_not_here_is_not_brought(home):
    models = models_at(home, Settings(offline=True))
    with pytest.raises(NotFound):
        asyncio.run(models.pull(answering()[0].name, nobody))


def test_an_alias_means_its_model_s_file(whole):
    known = next(known for known in answering() if known.aliases)
    assert models_at(whole, Settings()).file(known.aliases[0]) == known.place(whole.models)


@pytest.fixture
def started(monkeypatch):
    """Have every engine start as this one."""
    engine = fakes.FakeEngine()
    engine.speed = 7.0

    async def start(*details):
        return engine

    monkeypatch.setattr(EngineProcess, "start", start)
    return engine


async def use(home):
    async with engines_at(home, Settings()).using(shelf.LocalModel("m", home.models / "m", None, "lorebook"), nobody):
        raise AssertionError("it was let in")


def test_an_engine_whose_speed_cannot_be_kept_is_ended(home, monkeypatch, started):
    def remember(home, name, speed):
        raise StorageFailed("the disk is full")

    monkeypatch.setattr(modelroom, "remember_speed", remember)
    with pytest.raises(StorageFailed):
        asyncio.run(use(home))
    assert started.closed


def test_an_engine_whose_asker_gives_up_before_its_speed_is_kept_is_ended(home, monkeypatch, started):
    remembering, may_go_on = threading.Event(), threading.Event()

    def remember(home, name, speed):
        remembering.set()
        may_go_on.wait(5)

    monkeypatch.setattr(modelroom, "remember_speed", remember)

    async def scene():
        asking = asyncio.create_task(use(home))
        await eventually(remembering.is_set)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await eventually(lambda: started.closed)
        may_go_on.set()

    asyncio.run(scene())


def test_the_person_s_own_file_is_added_listed_and_forgotten(home, tmp_path, monkeypatch):
    monkeypatch.setattr(shelf, "read_header", lambda path: type("Header", (), {"kind": "model"}))
    file = tmp_path / "mine.gguf"
    file.write_bytes(b"GGUF")
    models = models_at(home, Settings())
    assert models.file("mine") is None
    assert models.add(file).name == "mine"
    assert models.file("MINE") == file
    assert [model.size for model in models.known() if model.name == "mine"] == [4]
    models.remove("mine")
    assert file.exists()
    assert not [model for model in models.known() if model.name == "mine"]
