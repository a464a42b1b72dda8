"""The panel in a real JupyterLab: ask, stop, cite, come back."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from playwright.sync_api import Page, expect

from browser.conftest import LabDaemon
from browser.jupyter import run_command, wait_until_ready
from browser.told import CHECKS, CLEANING, CLOCK, cell_citation, clock_answer, clock_script
from fake_daemon import HANG_UP, answering
from lorebook_api.asking import Answer
from lorebook_api.conversation import Conversation, Exchange
from lorebook_api.errors import NotFound

pytestmark = pytest.mark.browser


def ask(page: Page, question: str) -> None:
    """Open the panel and ask."""
    run_command(page, "lorebook:open")
    page.get_by_role("textbox", name="Question").fill(question)
    page.keyboard.press("Enter")


def citing(*citations) -> list[object]:
    """Return the script of an answer that cites these."""
    marks = " ".join(f"Here. [{citation.n}]" for citation in citations)
    return answering(Answer(marks, False, 1.0, citations, (), (), "echo-1b", retrieval="hybrid"), (marks,))


def active_cell(page: Page) -> str:
    """Return the id of the active cell of the notebook in front."""
    return page.evaluate("window.jupyterapp.shell.currentWidget.content.activeCell.model.id")


def test_an_answer_streams_and_is_shown_with_what_supports_it(lab, open_lab, daemon):
    daemon.scripts.ask = clock_script(lab.work, pause_s=0.05)
    page = open_lab()
    ask(page, "Why do the March readings not localize?")
    panel = page.locator("#lorebook-panel")
    expect(panel.locator(".lb-streaming")).to_contain_text("The March readings")
    assert "Etc/GMT-1" not in panel.locator(".lb-streaming").inner_text()  # it is not whole yet
    expect(panel.locator(".lb-answer .lb-unsupported")).to_have_text("The loggers were moved to the attic.")
    expect(panel.locator(".lb-grounded")).to_contain_text("grounded 67 %")
    expect(panel.locator(".lb-summary")).to_contain_text("812 of 4096 tokens, 1 left out")
    # JupyterLab's own editor colours the code.
    expect(panel.locator(".lb-code code span").first).to_be_visible()
    (call,) = daemon.of("/api/ask")
    assert call.body["roots"] == [daemon.root]
    assert call.authorization == "Bearer a-token"
    assert "a-token" not in page.content()


def test_stop_reaches_the_daemon_and_keeps_what_came(lab, open_lab, daemon):
    daemon.scripts.ask = [*clock_script(lab.work)[:6], 30.0, *clock_script(lab.work)[6:]]
    page = open_lab()
    ask(page, "Why?")
    panel = page.locator("#lorebook-panel")
    expect(panel.locator(".lb-streaming")).to_contain_text("The March")
    panel.get_by_role("button", name="Stop").click()
    expect(panel).to_contain_text("Stopped.")
    expect(panel).to_contain_text("The March")
    assert daemon.cancelled.wait(5)
    (call,) = daemon.of("/api/cancel")
    assert call.body["request_id"] == daemon.of("/api/ask")[0].body["request_id"]
    expect(panel.get_by_role("button", name="Send")).to_be_visible()


def test_a_citation_opens_the_cell_and_the_line_and_marks_them(lab, open_lab, daemon):
    daemon.scripts.ask = clock_script(lab.work)
    page = open_lab()
    ask(page, "Why?")
    panel = page.locator("#lorebook-panel")
    panel.locator(".lb-answer .lb-mark", has_text="[1]").click()
    wait_until_ready(page, CLOCK)
    cited = page.locator(".jp-Notebook .lb-cited .lb-cited-line")
    expect(cited).to_have_text(clock_answer(lab.work).citations[0].quote)
    expect(cited).to_be_in_viewport()
    assert active_cell(page) == "979f921e"
    panel.locator(".lb-citations").get_by_role("button", name=CHECKS).click()
    line = page.locator(".jp-FileEditor .lb-cited-line")
    expect(line).to_have_text(clock_answer(lab.work).citations[1].quote)
    expect(line).to_be_in_viewport()
    expect(page.locator(".jp-Notebook .lb-cited")).to_have_count(0)
    expect(panel.locator(".lb-notice")).to_have_count(0)


def test_what_has_changed_since_or_is_gone_is_said(lab, open_lab, daemon):
    true = cell_citation(lab.work, CLEANING, 1, 6, 1, 2)
    changed = replace(true, n=2, quote="readings.pressure.fillna(0)")
    moved = replace(true, n=3, start_line=2, end_line=2, quote=true.quote.splitlines()[0])
    gone = replace(true, n=4, cell_id="no-such-cell")
    deleted = replace(true, n=5, path="notebooks/99_gone.ipynb")
    daemon.scripts.ask = citing(true, changed, moved, gone, deleted)
    page = open_lab()
    ask(page, "Why?")
    items = page.locator("#lorebook-panel .lb-citation")
    for at, said in enumerate([None, "This cell has changed", "moved to line 1", "no longer in", "not there any more"]):
        items.nth(at).get_by_role("button").click()
        notice = items.nth(at).locator(".lb-notice")
        if said:
            expect(notice).to_contain_text(said)
        else:
            wait_until_ready(page, CLEANING)
            expect(page.locator(".lb-cited-line")).to_have_count(2)
            expect(notice).to_have_count(0)


def test_the_page_is_loaded_again_in_mid_stream(lab, open_lab, daemon):
    daemon.scripts.ask = [*clock_script(lab.work)[:6], 30.0]
    page = open_lab()
    ask(page, "Why?")
    expect(page.locator("#lorebook-panel .lb-streaming")).to_contain_text("The March")
    page.wait_for_timeout(1200)  # JupyterLab saves its workspace a second after the last change
    (call,) = daemon.of("/api/ask")
    was = Exchange(call.body["request_id"], "Why?", "2026-01-01", text="The March", stopped=True)
    kept = Conversation(call.body["conversation"], "Why?", "2026-01-01", "2026-01-01", (was,))
    daemon.scripts.conversations = [kept]
    page.reload()
    wait_until_ready(page)
    run_command(page, "lorebook:open")
    panel = page.locator("#lorebook-panel")
    expect(panel.locator(".lb-turn")).to_have_count(1)
    expect(panel).to_contain_text("The March")
    expect(panel).to_contain_text("Stopped.")
    daemon.scripts.ask = clock_script(lab.work)
    panel.get_by_role("button", name="Ask again").click()
    expect(panel.locator(".lb-answer")).to_contain_text("clock change")
    expect(panel.locator(".lb-turn")).to_have_count(1)
    assert daemon.of("/api/ask")[-1].body["conversation"] == kept.id


def test_errors_say_what_to_do_and_a_daemon_that_comes_back_answers(lab, open_lab, daemon):
    page = open_lab()
    daemon.scripts.error = NotFound("There is no model here.", "Type: lorebook models pull auto")
    ask(page, "Why?")
    alert = page.locator("#lorebook-panel").get_by_role("alert")
    expect(alert).to_contain_text("There is no model here.")
    expect(alert).to_contain_text("Type: lorebook models pull auto")
    daemon.scripts.error = None
    daemon.scripts.ask = clock_script(lab.work)
    alert.get_by_role("button", name="Ask again").click()
    expect(page.locator("#lorebook-panel .lb-answer")).to_contain_text("clock change")


def test_a_daemon_that_dies_in_mid_answer_is_missed_and_its_successor_answers(lab, open_lab):
    page = open_lab()
    panel = page.locator("#lorebook-panel")
    with LabDaemon(lab) as daemon:
        daemon.scripts.ask = [*clock_script(lab.work)[:6], HANG_UP]
        ask(page, "Why?")
        expect(panel.get_by_role("alert")).to_contain_text("The daemon ended while it was at this.")
        expect(panel).to_contain_text("The March")  # what had come stays
    with LabDaemon(lab) as daemon:
        daemon.scripts.ask = clock_script(lab.work)
        panel.get_by_role("button", name="Ask again").first.click()
        expect(panel.locator(".lb-answer")).to_contain_text("clock change")
        assert len(daemon.of("/api/ask")) == 1


def test_a_folder_is_read_only_with_the_persons_word(lab, open_lab, daemon):
    daemon.root = "/elsewhere"
    page = open_lab()
    ask(page, "Why?")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(str(lab.work.resolve()))
    dialog.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("textbox", name="Question")).to_have_value("Why?")
    assert daemon.of("/api/ask") == []
    page.get_by_role("textbox", name="Question").press("Enter")
    dialog.get_by_role("button", name="Read and ask").click()
    expect(page.locator("#lorebook-panel .lb-answer")).to_be_visible()


def test_the_status_bar_says_what_the_daemon_does(open_lab, daemon):
    page = open_lab()
    item = page.locator(".lb-status")
    expect(item).to_have_text(re.compile(r"lorebook: echo-1b · index (just now|\d+ min ago)"))
    item.click()
    expect(page.get_by_role("textbox", name="Question")).to_be_visible()


def test_a_conversation_is_exported(lab, open_lab, daemon, tmp_path):
    daemon.scripts.ask = clock_script(lab.work)
    page = open_lab()
    ask(page, "Why?")
    expect(page.locator("#lorebook-panel .lb-answer")).to_be_visible()
    with page.expect_download() as download:
        run_command(page, "lorebook:export-conversation")
    download.value.save_as(tmp_path / "told.md")
    told = (tmp_path / "told.md").read_text(encoding="utf-8")
    assert told.startswith("## Why?\n\nThe March readings")
    assert json.dumps(clock_answer(lab.work).citations[0].quote)[1:20].replace("\\", "") in told
