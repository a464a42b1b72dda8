"""The chat widget in a real JupyterLab: stream, stop, reload, cite, send along; none of its messages is lost."""

from __future__ import annotations

from dataclasses import asdict

import pytest
from playwright.sync_api import expect

from browser.axe import find_barriers
from browser.jupyter import CHAT, ask_chat, run_command, show_chat, wait_for_kernel, wait_until_ready, write_notebook
from fake_daemon import ANSWER

pytestmark = pytest.mark.browser


@pytest.fixture
def notebook(lab) -> str:
    """A notebook of its own for each test; returns its name."""
    name = write_notebook(lab, *CHAT)
    yield name
    (lab.work / name).unlink()


def test_an_answer_streams_into_the_output_and_its_citations_open(open_lab, daemon, notebook):
    page = open_lab(notebook)
    chat = show_chat(page)
    ask_chat(chat, "Which cell drops the null rows?")
    expect(chat.locator(".lb-answer")).to_contain_text("Cell 5 drops them.", timeout=15_000)
    expect(chat.locator(".lb-unsupported")).to_have_text("It rained.")
    (call,) = daemon.of("/api/ask")
    assert call.body["roots"] == [daemon.root] and call.body["conversation"]


def test_stop_and_ask_again(open_lab, daemon, notebook):
    daemon.scripts.ask = [("token", {"text": "half of it"}), 60, ("answer", asdict(ANSWER))]
    page = open_lab(notebook)
    chat = show_chat(page)
    ask_chat(chat, "why?")
    expect(chat.locator(".lb-streaming")).to_contain_text("half of it", timeout=15_000)
    chat.get_by_role("button", name="Stop").click()
    expect(chat.get_by_text("Stopped.")).to_be_visible(timeout=15_000)
    expect(chat.locator(".lb-text")).to_contain_text("half of it")
    assert daemon.of("/api/cancel")


def test_a_reload_in_mid_stream_keeps_the_text_and_goes_on(open_lab, daemon, notebook):
    daemon.scripts.ask = [
        ("token", {"text": "before "}),
        6,
        ("token", {"text": "after"}),
        30,
        ("answer", asdict(ANSWER)),
    ]
    page = open_lab(notebook)
    chat = show_chat(page)
    ask_chat(chat, "why?")
    expect(chat.locator(".lb-streaming")).to_contain_text("before", timeout=15_000)
    run_command(page, "docmanager:save")
    page.reload()
    wait_until_ready(page, notebook)
    wait_for_kernel(page)
    chat = page.locator(".jp-OutputArea .lb-widget")
    expect(chat.locator(".lb-streaming")).to_contain_text("before", timeout=30_000)
    expect(chat.locator(".lb-streaming")).to_contain_text("before after", timeout=30_000)
    chat.get_by_role("button", name="Stop").click()
    expect(chat.get_by_text("Stopped.")).to_be_visible(timeout=30_000)


BOARDS = "import lorebook\nfrom IPython.display import display\ndisplay(lorebook.search(), lorebook.index())"
RELOADS = 5


def test_a_click_after_each_reload_arrives_once(open_lab, daemon, notebook):
    """A front end's message may be lost after a reload of the page: it is sent again until the kernel has it."""
    page = open_lab(notebook)
    chat = show_chat(page)
    run_command(page, "docmanager:save")
    for reload in range(RELOADS):
        ask_chat(chat, f"question {reload}?")
        expect(chat.locator(".lb-answer")).to_have_count(reload + 1, timeout=30_000)
        page.reload()
        wait_until_ready(page, notebook)
        chat = page.locator(".jp-OutputArea .lb-widget")
        expect(chat).to_be_visible(timeout=30_000)
    assert [call.body["question"] for call in daemon.of("/api/ask")] == [f"question {n}?" for n in range(RELOADS)]


def test_search_and_index_in_one_output(open_lab, daemon, lab):
    page = open_lab(write_notebook(lab, BOARDS))
    wait_for_kernel(page)
    run_command(page, "notebook:run-cell")
    box = page.get_by_role("searchbox", name="Search")
    box.fill("fare", timeout=30_000)
    expect(page.locator(".lb-results")).to_contain_text("src/fare.py:10-12", timeout=15_000)
    index = page.get_by_role("region", name="The index of your files")
    expect(index).to_contain_text("120 passages", timeout=15_000)
    index.get_by_role("button", name="Pause").click()
    expect(index).to_be_visible()


def test_axe_finds_nothing_grave_in_the_chat(open_lab, daemon, notebook):
    page = open_lab(notebook)
    chat = show_chat(page)
    assert find_barriers(page, ".jp-OutputArea .lb-widget") == []
    ask_chat(chat, "Which cell drops the null rows?")
    expect(chat.locator(".lb-answer")).to_be_visible(timeout=15_000)
    assert find_barriers(page, ".jp-OutputArea .lb-widget") == []


def test_a_restarted_kernel_is_told_and_the_cell_brings_the_chat_back(open_lab, daemon, notebook):
    page = open_lab(notebook)
    chat = show_chat(page)
    page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    wait_for_kernel(page)
    ask_chat(chat, "why?")
    expect(chat.get_by_role("alert")).to_contain_text("run the cell again", timeout=30_000)
    chat = show_chat(page)
    ask_chat(chat, "and now?")
    expect(chat.locator(".lb-answer")).to_be_visible(timeout=15_000)
    assert [call.body["question"] for call in daemon.of("/api/ask")] == ["and now?"]


def test_a_busy_kernel_loses_nothing(open_lab, daemon, notebook):
    page = open_lab(notebook)
    chat = show_chat(page)
    page.evaluate(
        "() => { window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.requestExecute("
        "{code: 'import time; time.sleep(6)'}); }"
    )
    ask_chat(chat, "why?")
    expect(chat.locator(".lb-answer")).to_have_count(1, timeout=40_000)
    assert len(daemon.of("/api/ask")) == 1
