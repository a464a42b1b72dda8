"""The panel before the real daemon and the real small model, which Jupyter starts by itself."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import time

import pytest
from playwright.sync_api import Page, expect

from browser.jupyter import run_command, wait_for_kernel, wait_until_ready
from browser.told import CLOCK
from end_to_end.convinced import write_convinced
from lorebook_api.client import Client
from lorebook_api.discovery import find_daemon, stop_daemon
from lorebook_api.home import Home
from lorebook_api.retrieval import SearchRequest

pytestmark = [pytest.mark.browser, pytest.mark.model, pytest.mark.daemon, pytest.mark.timeout(500)]

SLOW = 150_000
"""Milliseconds that a small model may take on a machine that does something else as well."""


@pytest.fixture
def real(lab, tiny_model, minilm_folder):
    """A home with both models for the daemon that JupyterLab starts; returns it, and ends the daemon at the end."""
    lorebook = Home(lab.home, lab.home / "state", lab.home / "cache", lab.home / "models", lab.home / "runtime").make()
    model = lorebook.models / "convinced.gguf"
    write_convinced(tiny_model, model)
    shutil.copytree(minilm_folder, lorebook.models / minilm_folder.name)
    settings = lab.folder / "settings" / "lorebook-lab" / "plugin.jupyterlab-settings"
    settings.parent.mkdir(exist_ok=True)
    settings.write_text(json.dumps({"passages": 2, "maxTokens": 60}))
    (lorebook.config / "config.toml").write_text(f"model = '{model}'\noffline = true\nidle_stop_minutes = 5\n")
    yield lorebook
    daemon = find_daemon(lorebook)
    if daemon is not None:
        stop_daemon(lorebook, daemon)
    settings.unlink()
    shutil.rmtree(lab.home)


def ask(page: Page, question: str) -> None:
    box = page.get_by_role("textbox", name="Question")
    box.fill(question)
    box.press("Enter")


def test_ask_stop_cite_and_outlive_the_daemon(lab, open_lab, real):
    page = open_lab()
    run_command(page, "lorebook:open")
    panel = page.locator("#lorebook-panel")
    ask(page, "What does flag_columns do?")
    page.get_by_role("dialog").get_by_role("button", name="Read and ask").click(timeout=SLOW)
    expect(panel.locator(".lb-streaming")).to_contain_text(re.compile(r"\w"), timeout=SLOW)
    page.keyboard.press("Escape")
    expect(panel).to_contain_text("Stopped.")

    ask(page, "What does flag_columns do?")
    expect(panel.locator(".lb-answer")).to_be_visible(timeout=SLOW)
    panel.locator(".lb-answer summary", has_text="read").click()
    source = panel.locator(".lb-sources .lb-place").first
    path = source.inner_text().split(":")[0].split(" · ")[0]
    source.click()
    page.wait_for_function("path => window.jupyterapp.shell.currentWidget?.context?.path === path", arg=path)
    marked = page.locator(".lb-cited-line, .lb-cited").first
    expect(marked).to_be_in_viewport()

    killed = find_daemon(real)
    os.kill(killed.pid, signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
    ask(page, "And what does it return?")
    expect(panel.locator(".lb-answer")).to_have_count(2, timeout=SLOW)
    assert find_daemon(real).pid != killed.pid

    find_what_is_not_saved(page, Client(find_daemon(real)), str(lab.work.resolve()))


def find_what_is_not_saved(page: Page, client: Client, root: str) -> None:
    """Type a word into a notebook, save nothing, and search it."""
    run_command(page, "docmanager:open", path=CLOCK)
    wait_until_ready(page, CLOCK)
    wait_for_kernel(page)
    typed = "window.jupyterapp.shell.currentWidget.content.activeCell.model.sharedModel.setSource('# Quicksilver')"
    page.evaluate(f"() => {typed}")
    deadline = time.monotonic() + SLOW / 1000
    while time.monotonic() < deadline:
        found = client.search(SearchRequest("quicksilver", (root,), 1)).results
        if found and "Quicksilver" in found[0].text:
            assert found[0].path == CLOCK
            return
        time.sleep(0.2)
    raise AssertionError("what was typed is not found")
