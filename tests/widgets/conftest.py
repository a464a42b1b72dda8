"""What tests of the notebook's side share."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from lorebook_api import discovery
from lorebook_api.errors import DaemonUnavailable
from lorebook_api.home import Home


@pytest.fixture(autouse=True, scope="package")
def no_real_daemon() -> Iterator[None]:
    """Let no errand that outlives its test start a daemon in place of the fake one that has gone."""

    def refuse(home: Home) -> None:
        raise DaemonUnavailable("tests of the notebook's side start no daemon.", "Ask for the fixture `fake`.")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(discovery, "_spawn", refuse)
        yield


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    """Return a notebook without cells."""
    path = tmp_path / "lab.ipynb"
    path.write_text(json.dumps({"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    return path
