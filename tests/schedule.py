"""How the tests are shared out where several processes run them (`make pytest`): file by file, the slowest first.

A file stays whole, so that what its tests share is begun once. The browser's files stay together: a JupyterLab and a
Chromium are many seconds and hundreds of megabytes.
"""

from __future__ import annotations

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

TOGETHER = ("tests/browser/",)
SLOWEST_FIRST = ("browser", "daemon", "model", "train", "embedder")
"""Marks: what begins last must be short, or one process works at the end and the others wait."""


class WholeFolders(LoadFileScheduling):
    """Gives each process a file at a time, and the folders of TOGETHER as if they were one."""

    def _split_scope(self, nodeid: str) -> str:
        return next(filter(nodeid.startswith, TOGETHER), super()._split_scope(nodeid))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> WholeFolders | None:
    """Return our way of sharing out where files are to stay whole."""
    if config.getoption("dist") != "loadfile":
        return None
    config.option.loadscopereorder = False  # else the files with the most tests come first, not the slowest
    return WholeFolders(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the files with the slowest tests first, in the processes that share them; by hand, nothing moves."""
    if hasattr(config, "workerinput"):
        ranks = {}
        for item in items:
            marked = (rank for rank, mark in enumerate(SLOWEST_FIRST) if item.get_closest_marker(mark))
            ranks[item.path] = min(ranks.get(item.path, len(SLOWEST_FIRST)), *marked, len(SLOWEST_FIRST))
        items.sort(key=lambda item: ranks[item.path])
