from collections.abc import Iterator
from pathlib import Path

import pytest

from commandline import Run, run_command
from fake_daemon import FakeDaemon
from lorebook_api.home import Home


@pytest.fixture
def fake(home: Home) -> Iterator[FakeDaemon]:
    """A daemon that runs for the test's home."""
    with FakeDaemon(home.runtime) as daemon:
        yield daemon


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
