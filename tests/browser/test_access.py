"""The panel for everybody: by keyboard alone, in every theme, with what axe-core looks for."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from browser.axe import find_barriers
from browser.jupyter import run_command, set_theme, wait_until_ready
from browser.told import CLOCK, clock_script
from lorebook_api.errors import NotFound

pytestmark = pytest.mark.browser

PANEL = "#lorebook-panel"
DARK = "JupyterLab Dark"
CONTRAST = "JupyterLab Dark High Contrast"
FOCUSED = "document.activeElement.matches(':focus-visible') && document.activeElement.className"
MOST_STOPS = 40


def ask(page: Page) -> None:
    box = page.get_by_role("textbox", name="Question")
    box.fill("Why do the March readings not localize?")
    box.press("Enter")


def step_back_to(page: Page, wanted: str) -> None:
    """Press Shift+Tab until something of this class has the focus, and shows that it has."""
    for _ in range(MOST_STOPS):
        page.keyboard.press("Shift+Tab")
        if wanted in (page.evaluate(FOCUSED) or ""):
            assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
            return
    raise AssertionError(f"{wanted} cannot be reached with the keyboard")


def test_the_keyboard_alone_asks_stops_opens_a_citation_and_comes_back(lab, open_lab, daemon):
    daemon.scripts.ask = [*clock_script(lab.work)[:6], 30.0]
    page = open_lab()
    page.keyboard.press("Alt+Shift+L")
    box = page.get_by_role("textbox", name="Question")
    expect(box).to_be_focused()
    page.keyboard.type("Why do the March readings not localize?")
    page.keyboard.press("Enter")
    panel = page.locator(PANEL)
    expect(panel.locator(".lb-streaming")).to_contain_text("The March")
    page.keyboard.press("Escape")
    expect(panel).to_contain_text("Stopped.")
    assert daemon.cancelled.wait(5)
    daemon.cancelled.clear()
    daemon.scripts.ask = clock_script(lab.work)
    expect(box).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(box).to_have_value("Why do the March readings not localize?")
    page.keyboard.press("Enter")
    expect(panel.locator(".lb-answer")).to_be_visible()
    step_back_to(page, "lb-mark")
    page.keyboard.press("Enter")
    expect(page.locator(".jp-FileEditor .lb-cited-line")).to_be_in_viewport()
    page.keyboard.press("Alt+Shift+L")
    expect(box).to_be_focused()


def test_axe_finds_nothing_grave_in_any_state(lab, open_lab, daemon):
    page = open_lab(CLOCK)
    run_command(page, "lorebook:open")
    assert find_barriers(page, PANEL) == []  # the welcome
    run_command(page, "lorebook:ask-cell")
    expect(page.locator(f"{PANEL} .lb-attached")).to_be_visible()
    daemon.scripts.ask = [*clock_script(lab.work)[:6], 30.0]
    ask(page)
    expect(page.locator(f"{PANEL} .lb-streaming")).to_contain_text("The March")
    assert find_barriers(page, PANEL) == []
    page.keyboard.press("Escape")
    expect(page.locator(PANEL)).to_contain_text("Stopped.")
    assert daemon.cancelled.wait(5)
    daemon.cancelled.clear()
    daemon.scripts.error = NotFound("There is no model here.", "Type: lorebook models pull auto")
    ask(page)
    expect(page.locator(PANEL).get_by_role("alert")).to_be_visible()
    assert find_barriers(page, PANEL) == []
    daemon.scripts.error = None
    run_command(page, "lorebook:teach-cells")
    expect(page.locator(f"{PANEL} .lb-lesson-examples")).to_be_visible()
    assert find_barriers(page, PANEL) == []


@pytest.mark.parametrize("theme", ["JupyterLab Light", DARK, CONTRAST])
def test_an_answer_can_be_read_in_every_theme(lab, open_lab, daemon, theme):
    daemon.scripts.ask = clock_script(lab.work)
    page = open_lab()
    run_command(page, "lorebook:open")
    set_theme(page, theme)
    ask(page)
    expect(page.locator(f"{PANEL} .lb-answer")).to_be_visible()
    page.locator(f"{PANEL} summary").first.click()
    try:
        assert find_barriers(page, PANEL) == []
    finally:
        set_theme(page, "JupyterLab Light")  # kept with the person's settings, which the tests share


def test_forced_colours_keep_what_colour_alone_would_tell(lab, open_lab, daemon):
    daemon.scripts.ask = clock_script(lab.work)
    page = open_lab()
    page.emulate_media(forced_colors="active")
    run_command(page, "lorebook:open")
    ask(page)
    answer = page.locator(f"{PANEL} .lb-answer")
    expect(answer.locator(".lb-unsupported")).to_have_css("text-decoration-style", "wavy")
    answer.locator(".lb-mark", has_text="[1]").click()
    wait_until_ready(page, CLOCK)
    cited = page.locator(".jp-Notebook .lb-cited-line").first
    expect(cited).to_have_css("outline-style", "solid")
    send = page.get_by_role("button", name="Send")
    border, back = (send.evaluate(f"e => getComputedStyle(e).{name}") for name in ("borderTopColor", "backgroundColor"))
    assert border != back
