"""Fixtures of the daemon's tests."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """A root with two files."""
    root = tmp_path / "notes"
    root.mkdir()
    (root / "a.txt").write_text("the rate was 42 percent")
    (root / "b.txt").write_text("rows with null age were dropped")
    return root
