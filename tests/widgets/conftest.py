"""What tests of the notebook's side share."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lorebook_api import discovery
from lorebook_api.errors import DaemonUnavailable
from lorebook_api.home import Home


@pytest.fixture(autouse=True)
def no_real_daemon(home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let no errand start a daemon in place of the fake one that has gone, nor outlive its test and its home."""

    def refuse(home: Home) -> None:
        raise DaemonUnavailable("tests of the notebook's side start no daemon.", "Ask for the fixture `fake`.")

    monkeypatch.setattr(discovery, "_spawn", refuse)
    yield
    errands = [thread for thread in threading.enumerate() if thread.name.startswith("lorebook-")]
    for errand in errands:
        errand.join(20)
    assert not [errand.name for errand in errands if errand.is_alive()]


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    """Return a notebook without cells."""
    path = tmp_path / "lab.ipynb"
    path.write_text(json.dumps({"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    return path
