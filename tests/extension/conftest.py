"""A real Jupyter Server in a thread, and a daemon whose bytes a test writes itself."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from fake_daemon import FakeDaemon
from lorebook_api.version import VERSION

SHIPPED = Path(__file__).parents[2] / "extension" / "jupyter-config" / "lorebook_extension.json"
BASE = "/user/ada/"
LOGIN = "jupyters-own-token"
CONFIG = {
    "IdentityProvider": {"token": LOGIN},
    "LorebookApp": {"start_daemon": False, "silence_seconds": 3.0},
    "ServerApp": {
        "allow_root": True,
        "base_url": BASE,
        "ip": "127.0.0.1",
        "jpserver_extensions": {"jupyterlab": False, "jupyter_server_terminals": False},
        "open_browser": False,
        "port": 0,
    },
}


@dataclass(frozen=True)
class Jupyter:
    """A running server: its address up to the base URL, the home that its daemon is looked for in."""

    url: str
    folder: Path

    @property
    def runtime(self) -> Path:
        """The folder of `daemon.json`."""
        return self.folder / "home" / "runtime"

    def read_log(self) -> str:
        """Return what the server has logged so far."""
        return (self.folder / "log").read_text()

    def open(self, **headers: str) -> httpx.Client:
        """Return a client that is logged in, as a script is."""
        headers.setdefault("Authorization", f"token {LOGIN}")
        return httpx.Client(base_url=f"{self.url}lorebook/", headers=headers, timeout=10, trust_env=False)


@pytest.fixture(scope="session")
def jupyter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jupyter]:
    """Run Jupyter Server, which finds our extension by the file that the wheel ships."""
    folder = tmp_path_factory.mktemp("jupyter")
    loaded = folder / "path" / "jupyter_server_config.d"
    loaded.mkdir(parents=True)
    shutil.copy(SHIPPED, loaded)
    (folder / "config").mkdir()
    (folder / "config" / "jupyter_server_config.json").write_text(json.dumps(CONFIG))
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "LOREBOOK"))}
    environment |= {
        "HTTP_PROXY": "http://127.0.0.1:9",  # the daemon is on this machine: no proxy is asked
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_CONFIG_PATH": str(folder / "path"),
        "JUPYTER_DATA_DIR": str(folder / "data"),
        "JUPYTER_RUNTIME_DIR": str(folder / "run"),
        "LOREBOOK_HOME": str(folder / "home"),
    }
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-X", "dev", "-m", "jupyter_server", f"--ServerApp.root_dir={folder}"],
            env=environment, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        found = Jupyter(_wait_for_url(server, folder), folder)
        found.runtime.mkdir(parents=True)
        yield found
    finally:
        server.terminate()
        server.wait(10)
    log_text = found.read_log()
    assert "Traceback" not in log_text, log_text


def _wait_for_url(server: subprocess.Popen[bytes], folder: Path) -> str:
    told = folder / "run" / f"jpserver-{server.pid}.json"
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and server.poll() is None:
        try:
            port = json.loads(told.read_text())["port"]
            httpx.get(f"http://127.0.0.1:{port}{BASE}api", trust_env=False)
        except (OSError, ValueError, httpx.TransportError):
            time.sleep(0.05)
        else:
            return f"http://127.0.0.1:{port}{BASE}"
    raise AssertionError((folder / "log").read_text())


@pytest.fixture
def daemon(jupyter: Jupyter) -> Iterator[FakeDaemon]:
    """Run the fake daemon where the server looks for one."""
    with FakeDaemon(jupyter.runtime) as fake:
        yield fake


class RawHandler(BaseHTTPRequestHandler):
    """Answers /health; everything else is the test's own."""

    daemon: RawDaemon
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        if self.path == "/health":
            body = json.dumps({"version": VERSION}).encode()
            self.say(200, {"content-type": "application/json", "content-length": str(len(body))}, body)
        else:
            self._take()

    def do_POST(self) -> None:
        self._take()

    def do_DELETE(self) -> None:
        self._take()

    def _take(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        self.daemon.seen.append(self)
        self.daemon.answer(self)
        self.close_connection = True

    def say(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def wait_for_hang_up(self) -> None:
        """Return when the other side has closed the connection; raises TimeoutError where it does not in 5 s."""
        self.connection.settimeout(5)
        assert self.connection.recv(1) == b""
        self.daemon.hung_up.set()


class RawDaemon:
    """A daemon that answers with `answer`, which gets the request's handler."""

    def __init__(self) -> None:
        self.answer: Callable[[RawHandler], None] = lambda handler: handler.say(200, {"content-length": "0"}, b"")
        self.seen: list[RawHandler] = []
        self.arrived = threading.Event()
        self.hung_up = threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (RawHandler,), {"daemon": self}))
        self.server.daemon_threads = True


@pytest.fixture
def raw_daemon(jupyter: Jupyter) -> Iterator[RawDaemon]:
    """Run a daemon whose bytes the test writes."""
    raw = RawDaemon()
    thread = threading.Thread(target=raw.server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    write_runtime_file(jupyter, raw.server.server_address[1])
    yield raw
    (jupyter.runtime / "daemon.json").unlink()
    raw.server.shutdown()
    raw.server.server_close()
    thread.join()


@pytest.fixture
def dead_daemon(jupyter: Jupyter) -> Iterator[None]:
    """Leave the runtime file of a daemon that has died."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    write_runtime_file(jupyter, port)
    yield
    (jupyter.runtime / "daemon.json").unlink()


def write_runtime_file(jupyter: Jupyter, port: int) -> None:
    """Write what a daemon on this port would have written."""
    told = {"url": f"http://127.0.0.1:{port}", "token": "a-token", "pid": 1, "version": VERSION, "started": ""}
    (jupyter.runtime / "daemon.json").write_text(json.dumps(told))
