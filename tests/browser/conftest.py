"""A real JupyterLab in the system's Chromium, before a daemon that says what a test tells it to."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

from browser.jupyter import FLAGS, Lab, find_chromium, running_lab, wait_until_ready
from fake_daemon import FakeDaemon
from lorebook_api.indexing import RootInfo
from lorebook_api.state import Status


@pytest.fixture(scope="session")
def chromium() -> str:
    """Return the browser's place; where there is none, skip, and fail in CI."""
    if found := find_chromium():
        return found
    told = "there is no Chromium. Type: sudo apt install chromium   (Fedora: sudo dnf install chromium)"
    return pytest.fail(told) if os.environ.get("CI") else pytest.skip(told)


@pytest.fixture(scope="session")
def lab(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Run one JupyterLab for all tests."""
    with running_lab(tmp_path_factory.mktemp("lab")) as lab:
        yield lab


class LabDaemon(FakeDaemon):
    """A fake daemon that has indexed the folder that JupyterLab serves."""

    def __init__(self, lab: Lab) -> None:
        super().__init__(lab.home / "runtime")
        self.root = str(lab.work.resolve())

    def status(self) -> Status:
        """Return the fake's status, of our folder."""
        root = RootInfo(self.root, 14, 120, 120, time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime()))
        return replace(super().status(), roots=(root,), indexing=())


@pytest.fixture
def daemon(lab: Lab) -> Iterator[LabDaemon]:
    """Run a fake daemon where JupyterLab looks for one."""
    with LabDaemon(lab) as fake:
        yield fake


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """Run the browser for one file of tests: while it runs, Playwright's event loop takes this thread's place."""
    expect.set_options(timeout=20_000)  # a busy machine fails no test
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser that has seen nothing, at a usual laptop's size."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    yield context
    context.close()


@pytest.fixture
def open_lab(lab: Lab, context: BrowserContext) -> Iterator[Callable[[str], Page]]:
    """Return what opens JupyterLab with a file; at the end no page may have logged an error of ours."""
    errors: list[str] = []

    def note(message: ConsoleMessage) -> None:
        # A status that is an error is logged by Chromium itself, whoever handles it.
        ours = "lorebook" in f"{message.text} {message.location.get('url', '')}"
        if message.type == "error" and ours and "Failed to load resource" not in message.text:
            errors.append(message.text)

    def open_page(path: str = "") -> Page:
        page = context.new_page()
        page.on("console", note)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(lab.address(path))
        wait_until_ready(page, path)
        return page

    yield open_page
    assert errors == []


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take the folder that pictures for README are put into."""
    parser.addoption(
        "--pictures", metavar="FOLDER", help="keep the pictures that the browser tests take in this folder"
    )
