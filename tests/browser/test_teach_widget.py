"""The teach widget in a real JupyterLab: choose, teach, reload, see the end; thumbs in the chat widget."""

from __future__ import annotations

from dataclasses import asdict

import pytest
from playwright.sync_api import Locator, Page, expect

from browser.jupyter import (
    CHAT,
    ask_chat,
    run_command,
    show_chat,
    wait_for_kernel,
    wait_until_ready,
    write_notebook,
)
from fake_daemon import PREVIEW
from lorebook_api.teaching import Metrics

pytestmark = pytest.mark.browser

EXAMPLES = "import lorebook\nlorebook.examples(pairs={'Who?': 'Anna.'})"


def show(page: Page) -> Locator:
    wait_for_kernel(page)
    run_command(page, "notebook:run-cell")
    widget = page.locator(".jp-OutputArea .lb-widget")
    expect(widget).to_be_visible(timeout=30_000)
    return widget


def test_examples_are_chosen_taught_and_seen_after_a_reload(open_lab, daemon, lab):
    end = daemon.scripts.job[-1]
    daemon.scripts.job = [("metrics", asdict(Metrics(1, 2, 3.5, 3.0, 100.0, 9.0))), 8, end]
    name = write_notebook(lab, EXAMPLES)
    page = open_lab(name)
    widget = show(page)
    usable = [one for one in PREVIEW.examples if not one.left_out and not one.held_out]
    expect(widget.locator("tbody input:checked")).to_have_count(len(usable), timeout=15_000)
    expect(widget.get_by_text("left out:").first).to_be_visible()
    widget.get_by_role("button", name="Teach").click()
    expect(widget.get_by_role("img", name="Loss")).to_be_visible(timeout=15_000)
    run_command(page, "docmanager:save")
    page.reload()
    wait_until_ready(page, name)
    widget = page.locator(".jp-OutputArea .lb-widget")
    expect(widget.get_by_role("img", name="Loss")).to_be_visible(timeout=30_000)
    expect(widget.get_by_role("status")).to_contain_text("done, active", timeout=30_000)
    assert len(daemon.of("/api/teach")) == 1


def test_a_thumb_down_asks_what_it_should_have_said(open_lab, daemon, lab):
    daemon.scripts.feedback = "keep"
    chat = show_chat(open_lab(write_notebook(lab, *CHAT)))
    ask_chat(chat, "Which cell drops the null rows?")
    down = chat.get_by_role("button", name="Bad answer")
    down.click(timeout=15_000)
    expect(down).to_have_attribute("aria-pressed", "true", timeout=15_000)
    chat.get_by_role("textbox", name="What it should have said").fill("Cell 6 drops them.")
    chat.get_by_role("button", name="Keep").click()
    expect(chat.get_by_text("Kept, to learn from.")).to_be_visible(timeout=15_000)
    assert [call.body["rating"] for call in daemon.of("/api/feedback")] == ["down", "edited"]
