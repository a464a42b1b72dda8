"""Adapters over HTTP with a real engine: what acts, what is refused, and that the engine outlives it all."""

import os
from pathlib import Path

import gguf
import numpy as np
import pytest

import tiny_models
from fake_app import Bench, FakeModels, client_of, parse_events
from lorebook_api.home import Home
from lorebook_daemon.answer.ask import ask
from lorebook_daemon.app.modelroom import engines_at
from lorebook_daemon.models.shelf import LocalModel
from lorebook_daemon.settings import Settings


class OneModel(FakeModels):
    """Every name means one file."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    async def find(self, name, report):
        return LocalModel("base", self.path, None, "path")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with a model, an adapter for it, an activated one, and adapters that do not fit or are damaged."""
    base = tiny_models.tiny_llama(tmp_path / "base.gguf")
    tiny_models.tiny_adapter(tmp_path / "plain.gguf", base)
    tiny_models.tiny_adapter(tmp_path / "active.gguf", base, seed=3, alora_invocation=tiny_models.invocation())
    tiny_models.tiny_adapter(tmp_path / "foreign.gguf", tiny_models.tiny_qwen2(tmp_path / "qwen2.gguf"))
    (tmp_path / "short.gguf").write_bytes((tmp_path / "plain.gguf").read_bytes()[:-100])
    (tmp_path / "text.gguf").write_text("a shopping list")
    integers(tmp_path / "integers.gguf")
    return tmp_path


def integers(path: Path) -> None:
    """Write what llama.cpp loads, and what ends its process at the first word."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    for factor, shape in (("a", (4, 64)), ("b", (64, 4))):
        writer.add_tensor(f"blk.0.attn_q.weight.lora_{factor}", np.ones(shape, np.int32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture
def client(home: Home, files: Path):
    settings = Settings(model="base", n_ctx=1024, threads=1)
    models = OneModel(files / "base.gguf").parts()
    bench = Bench(settings=settings, engines=engines_at(home, settings), models=models, answer=ask)
    with client_of(bench) as client:
        yield client
        client.portal.call(bench.parts.engines.close)


def said(client, *adapters: str) -> str:
    body = {"question": "hello there?", "grounding": False, "max_tokens": 10}
    response = client.post("/api/ask", json={**body, "adapters": [{"name": name} for name in adapters]})
    return parse_events(response.text)[-1][1]["answer"]


def loaded(client) -> list[str]:
    return [one["name"] for one in client.get("/api/adapters").json()["adapters"] if one["loaded"]]


def test_the_life_of_adapters(client, files):
    for name in ("plain", "active"):
        assert client.post("/api/adapters/import", json={"path": str(files / f"{name}.gguf")}).status_code == 200
    base, plain, active = said(client), said(client, "plain"), said(client, "active")
    assert len({base, plain, active}) == 3
    assert sorted(loaded(client)) == ["active", "plain"]
    ids = {Path(one["path"]).stem: one["id"] for one in client.get("/lora-adapters").json()}
    for name, text in (("plain", plain), ("active", active), ("plain", plain)):
        client.post("/lora-adapters", json=[{"id": ids[name], "scale": 1}])
        assert said(client) == text
    client.post("/lora-adapters", json=[])
    assert said(client) == base
    client.post("/api/adapters/unload", json={"name": "plain"})
    assert loaded(client) == ["active"]
    assert parse_events(client.post("/api/adapters/load", json={"name": "plain"}).text)[-1][1]["loaded"] is True
    assert said(client, "plain") == plain
    client.delete("/api/adapters/plain")
    assert loaded(client) == ["active"] and said(client) == base
    response = client.post("/api/ask", json={"question": "q", "grounding": False, "adapters": [{"name": "plain"}]})
    assert response.status_code == 404


def test_the_engine_outlives_what_is_refused(client, files):
    base = said(client)
    for name in ("foreign", "short", "text", "integers", "base"):
        path = str(files / f"{name}.gguf")
        for body in ({"adapters": [{"name": path}], "question": "q", "grounding": False}, {"name": path}):
            response = client.post("/api/ask" if "question" in body else "/api/adapters/load", json=body)
            error = response.json()["error"]
            assert (response.status_code, error["code"]) == (422, 422), (name, response.text)
            assert f"{name}.gguf" in error["message"] or name in error["message"]
            assert "llama_" not in error["message"] and "gguf_" not in error["message"] and error["hint"]
    assert said(client) == base


def test_a_file_that_is_replaced_is_taken_anew(client, files, home):
    client.post("/api/adapters/import", json={"path": str(files / "plain.gguf"), "name": "mine"})
    before = said(client, "mine")
    file = home.models / "adapters" / "mine.gguf"
    other = tiny_models.tiny_adapter(files / "other.gguf", files / "base.gguf", seed=9)
    os.utime(other, (1, 1))
    other.replace(file)
    assert said(client, "mine") != before
