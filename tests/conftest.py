"""Fixtures for all tests: a home of their own, and the real small model where one is wanted."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from fake_daemon import FakeDaemon
from lorebook_api.home import Home, find_home

# No test fails for a machine that is busy.
settings.register_profile("lorebook", deadline=None)
settings.load_profile("lorebook")

pytest_plugins = ("schedule",)

TINY = "smollm2-135m-instruct-q4_1.gguf"
_REAL_HOME = find_home()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """Move everything that lorebook keeps into the test's own folder, with no setting from outside."""
    for name in [name for name in os.environ if name.startswith("LOREBOOK_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LOREBOOK_HOME", str(tmp_path / "home"))
    return find_home().make()


@pytest.fixture
def fake(home: Home) -> Iterator[FakeDaemon]:
    """Run a daemon that says what the test has it say, where everybody looks for theirs."""
    with FakeDaemon(home.runtime) as daemon:
        yield daemon


@pytest.fixture(scope="session")
def tiny_model() -> Path:
    """Return SmolLM2-135M's file, which `make test` brings."""
    path = _REAL_HOME.models / TINY
    if not path.is_file():
        pytest.fail(f"{path} is not there; `make test` brings it, or: lorebook models pull {path.stem}")
    return path


@pytest.fixture(scope="session")
def minilm_folder() -> Path:
    """Return the folder of the real embedder, which `make test` brings."""
    folder = _REAL_HOME.models / "minilm"
    if not (folder / "model.onnx").is_file():
        pytest.fail(f"{folder} holds no embedder; `make test` brings it, or: lorebook models pull minilm")
    return folder
