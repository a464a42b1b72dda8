"""The panel in a real JupyterLab: ask, stop, cite, come back."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from browser.conftest import run_command

pytestmark = pytest.mark.browser


def ask(page: Page, question: str) -> None:
    """Open the panel and ask."""
    run_command(page, "lorebook:open")
    page.get_by_role("textbox", name="Question").fill(question)
    page.keyboard.press("Enter")


def test_an_answer_streams_and_is_shown_with_its_citations(open_lab, daemon):
    page = open_lab()
    ask(page, "Which cell drops the null rows?")
    panel = page.locator("#lorebook-panel")
    expect(panel.locator(".lb-answer")).to_contain_text("Cell 5 drops them.")
    expect(panel.locator(".lb-unsupported")).to_have_text("It rained.")
    expect(panel.locator(".lb-grounded")).to_contain_text("grounded 67 %")
    (call,) = daemon.of("/api/ask")
    assert call.body["roots"] == [daemon.root]
    assert call.authorization == "Bearer a-token"
    page.screenshot(path="/tmp/h3/panel.png")
