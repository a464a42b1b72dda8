"""Fixtures of the app's tests: fakes, and an app that teaches."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

import fake_app
import tiny_models
from fake_trainer import FakeTrainer
from known_schemas import known_schemas
from lorebook_api.home import Home
from lorebook_daemon.app import warming
from teaching_app import App, serving

__all__ = ["known_schemas"]


@pytest.fixture
def bench() -> fake_app.Bench:
    return fake_app.Bench()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, and an adapter for it."""
    folder = tmp_path_factory.mktemp("files")
    tiny_models.tiny_adapter(folder / "adapter.gguf", tiny_models.tiny_llama(folder / "base.gguf"))
    return folder


@pytest.fixture
def client(bench: fake_app.Bench) -> Iterator[TestClient]:
    """A client of the app on that bench."""
    with fake_app.client_of(bench) as client:
        yield client


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have what is done while nobody asks begin at once."""
    for name in ("_QUIET_S", "_PAUSE_S", "_AGAIN_S", "_GLANCE_S"):
        monkeypatch.setattr(warming, name, 0.002)


@pytest.fixture(scope="session")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model."""
    return tiny_models.tiny_llama(tmp_path_factory.mktemp("models") / "tiny.gguf")


@pytest.fixture
def trainer(files: Path) -> FakeTrainer:
    """A trainer that comes to its end by itself."""
    made = FakeTrainer(files / "adapter.gguf")
    made.may_end.set()
    return made


@pytest.fixture
def app(home: Home, files: Path, trainer: FakeTrainer) -> Iterator[App]:
    """A client of an app that teaches."""
    with serving(files, trainer) as app:
        yield app
