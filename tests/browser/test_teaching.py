"""Selected cells are taught from the panel: looked at first, then watched, then used."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import Page, expect

from browser.jupyter import run_command, wait_until_ready
from browser.told import CLOCK
from fake_daemon import JOB, teaching

pytestmark = pytest.mark.browser

LESSON = "#lorebook-panel .lb-lesson"


def select(page: Page, first: int, last: int) -> None:
    """Select a stretch of cells, the last of them active."""
    page.evaluate(
        "([first, last]) => { const n = window.jupyterapp.shell.currentWidget.content; n.mode = 'command';"
        " n.activeCellIndex = first; n.extendContiguousSelectionTo(last); n.node.focus(); }",
        [first, last],
    )


def test_selected_cells_are_previewed_taught_and_chosen(lab, open_lab, daemon):
    daemon.scripts.job = [*teaching()[:3], 1.0, *teaching()[3:]]
    page = open_lab(CLOCK)
    select(page, 3, 5)
    page.locator(".jp-Cell.jp-mod-active .jp-InputPrompt").click(button="right")
    page.get_by_role("menuitem", name="Teach Selected Cells").click()
    lesson = page.locator(LESSON)
    expect(lesson).to_contain_text("Teach 3 cells of 04_clock_trouble.ipynb")
    expect(lesson).to_contain_text("left out: duplicate")
    (looked,) = daemon.of("/api/teach/preview")
    assert looked.body["notebooks"] == [str((lab.work / CLOCK).resolve())]
    assert looked.body["ids"] == ["979f921e", "b48660a8", "72eeff06"]
    lesson.get_by_role("textbox", name="Name of the adapter").fill("clocks")
    lesson.get_by_role("button", name="Teach 1 example").click()
    expect(lesson).to_contain_text("step 2 of 4")
    expect(page.locator(".lb-status")).to_have_text("lorebook: teaching 50 %")
    expect(lesson).to_contain_text("clean has learnt from 1 example in 35 s.")
    assert daemon.of("/api/teach")[0].body["name"] == "clocks"
    expect(page.locator("#lorebook-panel .lb-scope")).to_have_text("work + clean")
    box = page.get_by_role("textbox", name="Question")
    box.fill("What does it do?")
    box.press("Enter")
    expect(page.locator("#lorebook-panel .lb-answer")).to_be_visible()
    assert daemon.of("/api/ask")[0].body["adapters"] == [{"name": "clean", "scale": 1}]
    lesson.get_by_role("button", name="Answer without it").click()
    expect(page.locator("#lorebook-panel .lb-scope")).to_have_text("work")
    expect(lesson).to_be_hidden()


def test_what_was_typed_and_not_saved_is_saved_first(lab, open_lab, daemon):
    page = open_lab("tour.ipynb")
    page.evaluate(
        "text => window.jupyterapp.shell.currentWidget.content.widgets[10].model.sharedModel.setSource(text)",
        "What?\n\nThat.",
    )
    select(page, 10, 10)
    run_command(page, "lorebook:teach-cells")
    expect(page.locator(LESSON)).to_contain_text("Teach 1 cell of tour.ipynb")
    expect(page.locator(f"{LESSON} .lb-lesson-examples")).to_be_visible()
    cell = json.loads((lab.work / "tour.ipynb").read_text())["cells"][10]
    assert "".join(cell["source"]) == "What?\n\nThat."


def test_a_training_is_found_again_after_a_reload_and_stopped(open_lab, daemon):
    daemon.scripts.job = [*teaching()[:3], 30.0]
    daemon.scripts.jobs = (JOB,)
    page = open_lab()
    run_command(page, "lorebook:open")
    lesson = page.locator(LESSON)
    expect(lesson).to_contain_text("step 2 of 4")
    page.reload()
    wait_until_ready(page)
    run_command(page, "lorebook:open")
    expect(lesson).to_contain_text("step 2 of 4")
    lesson.get_by_role("button", name="Stop").click()
    assert daemon.cancelled.wait(5)
