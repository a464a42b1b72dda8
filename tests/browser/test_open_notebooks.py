"""Notebooks that are open in a real JupyterLab: the daemon hears of them, and of what stands in them unsaved."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest

from browser.conftest import LabDaemon
from browser.jupyter import run_command, wait_for_kernel, write_notebook
from fake_daemon import Call

pytestmark = pytest.mark.browser

TYPE = "text => window.jupyterapp.shell.currentWidget.content.activeCell.model.sharedModel.setSource(text)"


def heard(daemon: LabDaemon, wanted: Callable[[Call], bool]) -> Call:
    """Return the first note that is wanted, once it has come."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if found := [call for call in daemon.of("/api/open") if wanted(call)]:
            return found[0]
        time.sleep(0.05)
    raise AssertionError([call.body for call in daemon.of("/api/open")])


def test_the_daemon_hears_what_is_open_and_unsaved(lab, open_lab, daemon):
    name = write_notebook(lab, "fares = {}")
    page = open_lab(name)
    place = {"root": daemon.root, "path": name}
    assert heard(daemon, lambda call: call.body["path"] == name).body["root"] == daemon.root
    wait_for_kernel(page)

    page.evaluate(TYPE, "fares = {'Sylt': 12}")
    unsaved = heard(daemon, lambda call: "Sylt" in call.body.get("contents", ""))
    assert json.loads(unsaved.body["contents"])["cells"][0]["source"] == "fares = {'Sylt': 12}"
    assert "Sylt" not in (lab.work / name).read_text()

    so_far = len(daemon.of("/api/open"))
    run_command(page, "docmanager:save")
    heard(daemon, lambda call: call.body == place and call in daemon.of("/api/open")[so_far:])
    run_command(page, "application:close")
    assert heard(daemon, lambda call: call.body.get("closed", False)).body == {**place, "closed": True}
