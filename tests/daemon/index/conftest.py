"""Fixtures for the tests of the index."""

import pytest


@pytest.fixture
def root(tmp_path):
    place = tmp_path / "root"
    place.mkdir()
    (place / "a.py").write_text("def alpha():\n    return 1\n")
    (place / "b.md").write_text("# Beta\n\nSome words on beta.\n")
    return place
