"""Fixtures of the app's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

import fake_app
from lorebook_daemon.app import warming
from tiny_models import tiny_llama


@pytest.fixture
def bench() -> fake_app.Bench:
    return fake_app.Bench()


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
    return tiny_llama(tmp_path_factory.mktemp("models") / "tiny.gguf")
