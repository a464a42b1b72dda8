from collections.abc import Iterator
from pathlib import Path

import pytest

from commandline import Run, run_command
from fake_app import Bench
from known_schemas import known_schemas
from lorebook_api.home import Home
from typed_evaluation import Typing, served

__all__ = ["known_schemas"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with nothing in it."""
    place = tmp_path / "project"
    place.mkdir()
    monkeypatch.chdir(place)
    return place


@pytest.fixture
def run(folder: Path) -> Run:
    """Runs the command line in this process."""
    return run_command


@pytest.fixture
def typing(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Typing]:
    """Types `lorebook eval` while a daemon made of fakes is served."""
    monkeypatch.chdir(tmp_path)
    with served(Bench(), home) as typing:
        yield typing
