import asyncio

import pytest

from lorebook_api.errors import NotFound
from lorebook_daemon.app.modelroom import models_at
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


def test_the_person_s_own_file_is_added_listed_and_forgotten(home, tmp_path, monkeypatch):
    monkeypatch.setattr(shelf, "read_header", lambda path: type("Header", (), {"kind": "model"}))
    file = tmp_path / "mine.gguf"
    file.write_bytes(b"GGUF")
    models = models_at(home, Settings())
    assert models.add(file).name == "mine"
    assert [model.size for model in models.known() if model.name == "mine"] == [4]
    models.remove("mine")
    assert file.exists()
    assert not [model for model in models.known() if model.name == "mine"]
