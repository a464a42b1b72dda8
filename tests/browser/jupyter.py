"""A real JupyterLab over a copy of samples/, and what tests and benchmarks do in it through the browser."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from playwright.sync_api import Locator, Page, expect

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
IS_READY = "window.jupyterapp?.shell.currentWidget && document.querySelector('#lorebook-panel')"
"""Something is in front, if only the launcher, which takes the focus when it comes."""


def find_chromium() -> str | None:
    """Return the browser's place, None where there is none."""
    return next(filter(None, map(shutil.which, CHROMIUMS)), None)


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


@contextmanager
def running_lab(folder: Path) -> Iterator[Lab]:
    """Run JupyterLab with everything that it keeps in this folder."""
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
        server.wait(60)


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


def wait_until_ready(page: Page, path: str = "") -> None:
    """Wait until JupyterLab is up, and the notebook where one is open."""
    page.wait_for_function(IS_READY, timeout=60_000)
    page.evaluate("() => window.jupyterapp.restored.then(() => undefined)")
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


CHAT = ("fares = {'Amrum': 12.5}\nfares['Sylt']", "import lorebook\nlorebook.chat()")
"""The cells of a notebook that shows the chat widget; the first one fails."""


def write_notebook(lab: Lab, *cells: str) -> str:
    """Write a notebook of code cells that did not run; return its name."""
    name = f"made-{time.monotonic_ns()}.ipynb"
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    empty = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
    written = [{**empty, "id": f"c{i}", "source": source} for i, source in enumerate(cells)]
    book = {"cells": written, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
    (lab.work / name).write_text(json.dumps(book), encoding="utf-8")
    return name


def wait_for_kernel(page: Page) -> None:
    """Wait until the kernel of the notebook in front has nothing to do."""
    page.wait_for_function(
        "() => { const s = window.jupyterapp.shell.currentWidget.sessionContext; const k = s.session?.kernel;"
        " return s.isReady && k?.connectionStatus === 'connected' && k.status === 'idle'; }",
        timeout=60_000,
    )


def show_chat(page: Page) -> Locator:
    """Run both cells of `CHAT`, each by itself, and return the widget."""
    wait_for_kernel(page)
    for index in range(len(CHAT)):
        page.evaluate("i => { window.jupyterapp.shell.currentWidget.content.activeCellIndex = i; }", index)
        run_command(page, "notebook:run-cell")
    chat = page.locator(".jp-OutputArea .lb-widget")
    expect(chat).to_be_visible(timeout=30_000)
    return chat


def ask_chat(chat: Locator, question: str) -> None:
    """Type a question into the widget and send it."""
    box = chat.get_by_role("textbox", name="Question")
    box.fill(question)
    box.press("Enter")
