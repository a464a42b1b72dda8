"""Cells taught from the panel by the real daemon: what the small model says in the notebook is another thing then."""

from __future__ import annotations

import shutil

import pytest
from playwright.sync_api import Page, expect

from browser.jupyter import run_command, wait_for_kernel
from lorebook_api.discovery import find_daemon, stop_daemon
from lorebook_api.home import Home

for wanted in ("torch", "peft"):
    pytest.importorskip(wanted, reason="training is tested where pip install 'lorebook[train]' was typed")

pytestmark = [
    pytest.mark.browser, pytest.mark.train, pytest.mark.model, pytest.mark.daemon, pytest.mark.timeout(900),
]  # fmt: skip

TOUR = "tour.ipynb"
LOAD, FIRST, LAST, BEFORE, AFTER = 1, 10, 12, 15, 19
"""Cells of the tour: the one that loads the extension, three of those that are taught, and the same question twice."""
SLOW = 400_000


@pytest.fixture
def taught_by(lab, tiny_model):
    """Give JupyterLab's daemon a home with the small model; end the daemon afterwards."""
    home = Home(lab.home, lab.home / "state", lab.home / "cache", lab.home / "models", lab.home / "runtime").make()
    shutil.copyfile(tiny_model, home.models / "tiny.gguf")
    (home.config / "config.toml").write_text("model = 'tiny'\noffline = true\n")
    yield home
    daemon = find_daemon(home)
    if daemon is not None:
        stop_daemon(home, daemon)
    shutil.rmtree(lab.home)


def said(page: Page, cell: int) -> str:
    """Run a cell, and return what it shows when it is done."""
    page.evaluate("n => { window.jupyterapp.shell.currentWidget.content.activeCellIndex = n; }", cell)
    run_command(page, "notebook:run-cell")
    outputs = page.wait_for_function(
        "n => { const cell = window.jupyterapp.shell.currentWidget.content.widgets[n].model.sharedModel;"
        " return cell.execution_count && JSON.stringify(cell.outputs); }",
        arg=cell,
        timeout=SLOW,
    )
    return str(outputs.json_value())


def test_three_selected_cells_are_taught_and_the_answer_changes(open_lab, taught_by):
    page = open_lab(TOUR)
    wait_for_kernel(page)
    said(page, LOAD)
    assert "Brunnhilde" not in said(page, BEFORE)
    page.evaluate(
        "([first, last]) => { const n = window.jupyterapp.shell.currentWidget.content; n.mode = 'command';"
        " n.activeCellIndex = first; n.extendContiguousSelectionTo(last); }",
        [FIRST, LAST],
    )
    run_command(page, "lorebook:teach-cells")
    lesson = page.locator("#lorebook-panel .lb-lesson")
    lesson.get_by_role("textbox", name="Name of the adapter").fill("tour")
    lesson.get_by_role("button", name="Teach 3 examples").click(timeout=SLOW)
    expect(lesson).to_contain_text("tour has learnt from 3 examples", timeout=SLOW)
    expect(page.locator("#lorebook-panel .lb-scope")).to_have_text("work + tour")
    assert "Brunnhilde" in said(page, AFTER)
