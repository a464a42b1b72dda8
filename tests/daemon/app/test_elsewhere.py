import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest

from fake_openai import FakeOpenAI, served
from lorebook_api.asking import Sampling
from lorebook_api.errors import BadRequest, EngineDied, NotFound
from lorebook_daemon.app.modelroom import engines_at, models_at
from lorebook_daemon.engine.protocol import Message, Prompt, Token
from lorebook_daemon.models import shelf
from lorebook_daemon.settings import Settings


def nobody(progress):
    """Hear nothing."""


def test_the_server_s_model_answers_and_none_is_brought_here(home):
    async def scene():
        async with served(FakeOpenAI("ollama")) as url:
            settings = Settings(engine="openai", engine_url=url)
            models, engines = models_at(home, settings), engines_at(home, settings)
            model = await models.find("auto", nobody)
            assert (model.name, model.path, model.origin) == ("tiny:latest", Path(), url.removeprefix("http://"))
            assert await models.find("tiny", nobody) == model
            with pytest.raises(NotFound, match="no model qwen"):
                await models.find("qwen2.5-coder-0.5b-instruct-q4_k_m", nobody)
            (known,) = await asyncio.to_thread(models.known)
            assert known.name == "tiny:latest" and known.installed and known.default
            async with engines.using(model, nobody) as engine:
                generation = engine.generate(Prompt((Message("user", "Which?"),)), Sampling(), 20)
                async with aclosing(generation):
                    text = "".join([piece.text async for piece in generation if isinstance(piece, Token)])
            assert text == "The B valve opens at 4 bar."
            await engines.close()
        assert not list(home.models.glob("*.gguf"))

    asyncio.run(scene())


def test_files_are_still_kept_here(home, tmp_path, monkeypatch):
    monkeypatch.setattr(shelf, "read_header", lambda path: type("Header", (), {"kind": "model"}))
    file = tmp_path / "mine.gguf"
    file.write_bytes(b"GGUF")
    models = models_at(home, Settings(engine="openai", engine_url="http://127.0.0.1:9"))
    assert models.add(file).name == "mine"
    assert models.file("mine") == file
    models.remove("mine")
    assert models.file("mine") is None


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({}, BadRequest),
        ({"engine_url": "http://engine.example", "offline": True}, BadRequest),
        ({"engine_url": "http://127.0.0.1:9"}, EngineDied),
    ],
)
def test_a_server_that_cannot_be_asked_is_an_error(home, changes, kind):
    models = models_at(home, Settings(engine="openai", **changes))
    with pytest.raises(kind) as refused:
        asyncio.run(models.find("auto", nobody))
    assert "LOREBOOK_ENGINE_URL" in refused.value.hint
    with pytest.raises(kind):
        models.known()
