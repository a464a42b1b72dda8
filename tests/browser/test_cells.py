"""A notebook's cells and the panel: ask about one, explain its error, take an answer's code in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from browser.jupyter import run_command, wait_until_ready
from browser.told import CLOCK, clock_script

pytestmark = pytest.mark.browser


def choose(page: Page, index: int) -> None:
    """Make the cell at this position the active one."""
    page.evaluate(
        "async i => { const n = window.jupyterapp.shell.currentWidget.content; n.activeCellIndex = i;"
        " n.mode = 'command'; await n.scrollToItem(i, 'center'); n.node.focus(); }",
        index,
    )


def source(page: Page) -> str:
    """Return the source of the active cell."""
    return page.evaluate("window.jupyterapp.shell.currentWidget.content.activeCell.model.sharedModel.getSource()")


def output(notebook: Path, index: int) -> str:
    """Return the last output of a cell as plain text."""
    cell = json.loads(notebook.read_text(encoding="utf-8"))["cells"][index]
    return "".join(cell["outputs"][-1]["data"]["text/plain"])


def test_ask_about_a_cell_shows_what_is_sent_and_sends_it(lab, open_lab, daemon):
    page = open_lab(CLOCK)
    choose(page, 1)  # its first line is short: JupyterLab hides the toolbar of a cell whose code it would cover
    page.locator(".jp-Cell.jp-mod-active .jp-cell-toolbar").get_by_role(
        "button", name="Ask lorebook about this cell"
    ).click()
    chip = page.locator("#lorebook-panel .lb-attached")
    expect(chip).to_contain_text("04_clock_trouble.ipynb · cell 1 [In 1]")
    box = page.get_by_role("textbox", name="Question")
    expect(box).to_be_focused()
    box.fill("What does this do?")
    box.press("Enter")
    expect(page.locator("#lorebook-panel .lb-answer")).to_be_visible()
    (call,) = daemon.of("/api/ask")
    (sent,) = call.body["attachments"]
    assert sent["text"].startswith("import sys\n\nimport numpy as np")
    assert sent["text"].endswith(output(lab.work / CLOCK, 1))
    assert (sent["path"], sent["cell_id"], sent["cell_index"], sent["execution_count"]) == (CLOCK, "7f64a429", 1, 1)
    expect(chip).to_have_count(0)


def test_an_error_is_explained_and_only_an_error(lab, open_lab, daemon):
    page = open_lab(CLOCK)
    explain = page.get_by_role("menuitem", name="Explain the Error")
    choose(page, 1)
    page.locator(".jp-Cell.jp-mod-active .jp-InputPrompt").click(button="right")
    expect(page.get_by_role("menuitem", name="Ask About This Cell")).to_be_visible()
    expect(explain).to_have_count(0)
    page.keyboard.press("Escape")
    choose(page, 3)
    page.locator(".jp-Cell.jp-mod-active .jp-InputPrompt").click(button="right")
    explain.click()
    chips = page.locator("#lorebook-panel .lb-attached")
    expect(chips).to_have_count(2)
    expect(page.get_by_role("textbox", name="Question")).to_have_value(
        "What does this error mean, and how do I mend it?"
    )
    page.keyboard.press("Enter")
    expect(page.locator("#lorebook-panel .lb-answer")).to_be_visible()
    (call,) = daemon.of("/api/ask")
    cell, error = (one["text"] for one in call.body["attachments"])
    assert cell.startswith('logger["utc"]')
    assert "nonexistent" in error and "\x1b" not in error


def test_code_is_inserted_and_replaced_with_the_difference_shown_and_undone(lab, open_lab, daemon):
    daemon.scripts.ask = clock_script(lab.work)
    page = open_lab(CLOCK)
    choose(page, 5)
    before = source(page)
    run_command(page, "lorebook:open")
    page.get_by_role("textbox", name="Question").fill("Why?")
    page.keyboard.press("Enter")
    code = page.locator("#lorebook-panel .lb-code")
    code.get_by_role("button", name="Replace the current cell").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.locator(".lb-diff-added")).to_contain_text('tz_localize("Etc/GMT-1")')
    expect(dialog.locator(".lb-diff-removed").first).to_contain_text("shift_forward")
    dialog.get_by_role("button", name="Cancel").click()
    assert source(page) == before
    code.get_by_role("button", name="Replace the current cell").click()
    dialog.get_by_role("button", name="Replace", exact=True).click()
    expect(dialog).to_have_count(0)
    assert source(page) == 'logger["utc"] = logger.time.dt.tz_localize("Etc/GMT-1")'
    page.evaluate("window.jupyterapp.shell.currentWidget.content.activeCell.editor.focus()")
    page.keyboard.press("ControlOrMeta+z")
    assert source(page) == before
    count = page.evaluate("window.jupyterapp.shell.currentWidget.content.widgets.length")
    code.get_by_role("button", name="Insert into a new cell").click()
    page.wait_for_function("n => window.jupyterapp.shell.currentWidget.content.widgets.length === n", arg=count + 1)
    assert source(page).startswith('logger["utc"] = logger.time.dt.tz_localize("Etc/GMT-1")')


def test_two_notebooks_and_a_busy_kernel_do_not_disturb_the_panel(lab, open_lab, daemon):
    daemon.scripts.ask = clock_script(lab.work)
    page = open_lab(CLOCK)
    page.wait_for_function("window.jupyterapp.shell.currentWidget.sessionContext.isReady", timeout=60_000)
    page.evaluate(
        "() => { window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.requestExecute("
        "{code: 'import time; time.sleep(20)'}); }"
    )
    run_command(page, "docmanager:open", path="notebooks/01_cleaning.ipynb")
    page.wait_for_function("window.jupyterapp.shell.currentWidget.context.path.includes('01_cleaning')")
    wait_until_ready(page, "notebooks/01_cleaning.ipynb")
    choose(page, 2)
    run_command(page, "lorebook:ask-cell")
    expect(page.locator("#lorebook-panel .lb-attached")).to_contain_text("01_cleaning.ipynb · cell 2")
    page.get_by_role("textbox", name="Question").fill("Why?")
    page.keyboard.press("Enter")
    expect(page.locator("#lorebook-panel .lb-answer")).to_contain_text("clock change")
