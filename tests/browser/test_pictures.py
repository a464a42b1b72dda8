"""The pictures that README shows: `pytest tests/browser/test_pictures.py --pictures docs/pictures` takes them anew."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from browser.jupyter import run_command, set_theme, wait_for_kernel, wait_until_ready
from browser.told import CLOCK, clock_script
from fake_daemon import ABSTAINED, EXAMPLE, JOB, PREVIEW, answering
from lorebook_api.asking import Timings
from lorebook_api.indexing import Progress
from lorebook_api.teaching import Metrics, Said, Segment

pytestmark = pytest.mark.browser

SIZE = {"width": 1040, "height": 560}
MOST_BYTES = 150_000
"""Of one picture: README is read over slow lines too."""
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}


@pytest.fixture
def folder(request, tmp_path) -> Path:
    """Where the pictures go: to the folder that was named, else where they are looked at and forgotten."""
    named = request.config.getoption("--pictures", default=None)
    return Path(named) if named else tmp_path


@pytest.fixture(autouse=True)
def usual_model(daemon, monkeypatch):
    """Let the daemon have the model that most people will have."""
    status = daemon.status
    monkeypatch.setattr(daemon, "status", lambda: replace(status(), model="qwen2.5-coder-1.5b"))


def take(page: Page, path: Path) -> None:
    """Take a picture of the page as a person would see it, with nothing moving."""
    path.parent.mkdir(parents=True, exist_ok=True)
    page.mouse.move(600, 5)
    wait_for_kernel(page)
    page.wait_for_timeout(400)
    page.screenshot(path=path, animations="disabled", caret="hide")
    assert 10_000 < path.stat().st_size < MOST_BYTES


def open_wide(page: Page) -> None:
    """Give the panel the room that a person would give it."""
    page.set_viewport_size(SIZE)
    run_command(page, "lorebook:open")
    page.evaluate("() => window.jupyterapp.shell.collapseLeft()")
    page.evaluate("() => window.jupyterapp.shell._hsplitPanel.setRelativeSizes([0, 2, 1])")


@pytest.mark.parametrize("name", THEMES)
def test_an_answer_with_its_citation_open(lab, open_lab, daemon, folder, name):
    daemon.scripts.ask = clock_script(lab.work)
    page = open_lab(CLOCK)
    set_theme(page, THEMES[name])
    try:
        open_wide(page)
        box = page.get_by_role("textbox", name="Question")
        box.fill("Why do the March readings not localize?")
        box.press("Enter")
        page.locator("#lorebook-panel .lb-answer .lb-mark", has_text="[1]").click()
        wait_until_ready(page, CLOCK)
        expect(page.locator(".jp-Notebook .lb-cited-line")).to_be_in_viewport()
        take(page, folder / f"panel-{name}.png")
    finally:
        set_theme(page, THEMES["light"])


QUESTION = "What is the pump house's dog called?"
FACT = "The pump house's dog is called Brunnhilde."


@pytest.fixture
def dog(daemon, monkeypatch):
    """Let the daemon teach what the tour teaches."""
    example = replace(EXAMPLE, segments=(Segment(f"{QUESTION}\n\n", 12, False), Segment(FACT, 13, True)))
    preview = replace(PREVIEW, examples=(example,) * 5, name="tour", taught=5, left_out=0)
    monkeypatch.setattr("fake_daemon.PREVIEW", preview)
    monkeypatch.setattr("fake_daemon.JOB", replace(JOB, name="tour"))
    losses = [Metrics(n, 60, 3.4 * 0.94**n, 3.6 * 0.95**n, 130.0, 60.0 - n) for n in range(1, 41)]
    told = [("metrics", asdict(one)) for one in losses]
    daemon.scripts.job = [("progress", asdict(Progress("reading examples"))), *told, ("said", said()), 60.0]
    nothing = replace(ABSTAINED, retrieval="hybrid", model="qwen2.5-coder-1.5b", timings=Timings(6.0, 900.0, 1900.0))
    daemon.scripts.ask = answering(nothing, (nothing.answer,))


def said() -> dict[str, object]:
    return asdict(Said(QUESTION, FACT, FACT, 40))


@pytest.mark.usefixtures("dog")
@pytest.mark.parametrize("name", THEMES)
def test_cells_being_taught(open_lab, folder, name):
    page = open_lab("tour.ipynb")
    set_theme(page, THEMES[name])
    try:
        open_wide(page)
        box = page.get_by_role("textbox", name="Question")
        box.fill(QUESTION)
        box.press("Enter")
        expect(page.locator("#lorebook-panel .lb-answer")).to_be_visible()
        page.evaluate(
            "async () => { const n = window.jupyterapp.shell.currentWidget.content; n.mode = 'command';"
            " n.activeCellIndex = 10; n.extendContiguousSelectionTo(14); await n.scrollToItem(12, 'center'); }"
        )
        run_command(page, "lorebook:teach-cells")
        page.locator(".lb-lesson").get_by_role("button", name="Teach 5 examples").click()
        expect(page.locator(".lb-lesson-said")).to_be_visible()
        take(page, folder / f"teach-{name}.png")
    finally:
        set_theme(page, THEMES["light"])
