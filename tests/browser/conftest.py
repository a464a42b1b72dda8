"""A real JupyterLab in the system's Chromium, before a daemon that says what a test tells it to."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from fake_daemon import FakeDaemon
from lorebook_api.schema import RootInfo, Status
from scripts.labfiles import place_extension

SAMPLES = Path(__file__).parents[2] / "samples"
LOGIN = "jupyters-own-token"
BASE = "/user/ada/"
CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run",
)  # fmt: skip
QUIET = {"fetchNews": "false", "checkForUpdates": False}
"""Settings that keep JupyterLab from asking the person, and the network, for news."""
IS_READY = "window.jupyterapp && window.jupyterapp.restored && document.querySelector('#lorebook-panel')"


def find_chromium() -> str:
    """Return the browser's place; where there is none, skip, and fail in CI."""
    for name in CHROMIUMS:
        if found := shutil.which(name):
            return found
    told = "there is no Chromium. Type: sudo apt install chromium   (Fedora: sudo dnf install chromium)"
    return pytest.fail(told) if os.environ.get("CI") else pytest.skip(told)


@dataclass(frozen=True)
class Lab:
    """A running JupyterLab over a copy of samples/."""

    url: str
    folder: Path

    @property
    def work(self) -> Path:
        """The folder that it serves."""
        return self.folder / "work"

    @property
    def home(self) -> Path:
        """The LOREBOOK_HOME that its daemon is looked for in."""
        return self.folder / "home"

    def address(self, path: str = "") -> str:
        """Return the address of JupyterLab, with a file open where `path` names one; the workspace is a fresh one."""
        tree = f"/tree/{path}" if path else ""
        return f"{self.url}lab/workspaces/w{time.monotonic_ns()}{tree}?token={LOGIN}"


@pytest.fixture(scope="session")
def chromium() -> str:
    return find_chromium()


@pytest.fixture(scope="session")
def lab(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Run JupyterLab with everything that it keeps in a folder of its own."""
    folder = tmp_path_factory.mktemp("lab")
    shutil.copytree(SAMPLES, folder / "work", ignore=shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints"))
    settings = folder / "settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    (settings / "notification.jupyterlab-settings").write_text(json.dumps(QUIET))
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *_options(folder)],
            env=_environment(folder), cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        yield Lab(_wait_for_url(server, folder), folder)
    finally:
        server.terminate()
        server.wait(20)


def _options(folder: Path) -> list[str]:
    return [
        "--no-browser", "--allow-root", "--ServerApp.port=0", "--ip=127.0.0.1", "--LabApp.expose_app_in_browser=True",
        f"--IdentityProvider.token={LOGIN}", f"--ServerApp.base_url={BASE}", f"--ServerApp.root_dir={folder / 'work'}",
        f"--LabApp.user_settings_dir={folder / 'settings'}", f"--LabApp.workspaces_dir={folder / 'workspaces'}",
    ]  # fmt: skip


def _environment(folder: Path) -> dict[str, str]:
    jupyter = place_extension(folder / "jupyter")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "LOREBOOK"))}
    return kept | {
        "IPYTHONDIR": str(folder / "ipython"),
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_CONFIG_PATH": str(jupyter / "config"),
        "JUPYTER_DATA_DIR": str(folder / "data"),
        "JUPYTER_PATH": str(jupyter / "share"),
        "JUPYTER_RUNTIME_DIR": str(folder / "run"),
        "LOREBOOK_HOME": str(folder / "home"),
    }


def _wait_for_url(server: subprocess.Popen[bytes], folder: Path) -> str:
    told = folder / "run" / f"jpserver-{server.pid}.json"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and server.poll() is None:
        try:
            url = f"http://127.0.0.1:{json.loads(told.read_text())['port']}{BASE}"
            httpx.get(f"{url}api", trust_env=False)
        except (OSError, ValueError, httpx.TransportError):
            time.sleep(0.1)
        else:
            return url
    raise AssertionError((folder / "log").read_text())


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


def wait_until_ready(page: Page, path: str = "") -> None:
    """Wait until JupyterLab is up, and the notebook where one is open."""
    page.wait_for_function(IS_READY, timeout=60_000)
    if path.endswith(".ipynb"):
        page.wait_for_function(
            "() => { const w = window.jupyterapp.shell.currentWidget; return w && w.content && w.content.widgets"
            " && w.context.isReady && w.content.widgets.length > 0; }",
            timeout=60_000,
        )


def run_command(page: Page, command: str, **arguments: object) -> None:
    """Run one of JupyterLab's commands."""
    page.evaluate("([id, args]) => window.jupyterapp.commands.execute(id, args)", [command, arguments])


def set_theme(page: Page, name: str) -> None:
    """Change the theme and wait until it is there."""
    run_command(page, "apputils:change-theme", theme=name)
    page.wait_for_function("name => document.body.dataset.jpThemeName === name", arg=name, timeout=15_000)


def as_json(value: object) -> object:
    """Return a dataclass as plain JSON data."""
    return asdict(value)  # type: ignore[call-overload]
