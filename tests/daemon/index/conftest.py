"""Fixtures for the tests of the index."""

import pytest

from lorebook_daemon.index import update
from lorebook_daemon.index.batch import prepare


@pytest.fixture
def root(tmp_path):
    place = tmp_path / "root"
    place.mkdir()
    (place / "a.py").write_text("def alpha():\n    return 1\n")
    (place / "b.md").write_text("# Beta\n\nSome words on beta.\n")
    return place


@pytest.fixture
def here(monkeypatch):
    """Let an update read files in this process, where a test can come between."""

    def ready(wanted, alone):
        yield prepare(wanted)

    monkeypatch.setattr(update, "ready", ready)
