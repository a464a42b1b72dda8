"""Find the one daemon of this user, and start it where none runs."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from filelock import FileLock, Timeout

from lorebook_api.errors import Conflict, DaemonUnavailable
from lorebook_api.home import Home
from lorebook_api.version import VERSION

HEALTH_SECONDS = 5.0
START_SECONDS = 60.0
STOP_SECONDS = 20.0


@dataclass(frozen=True)
class Daemon:
    """A daemon, as its runtime file describes it; `started` is ISO 8601."""

    url: str
    token: str
    pid: int
    version: str
    started: str


def open_http(daemon: Daemon, read_seconds: float | None = 10.0) -> httpx.Client:
    """Return an HTTP client that carries the daemon's token; the caller closes it.

    Proxies of the environment are left out (the daemon is on this machine), and no certificates are loaded.
    """
    return httpx.Client(
        **_options(daemon, read_seconds),
        transport=httpx.HTTPTransport(verify=_no_certificates(), uds=_socket_of(daemon)),
    )


def open_async_http(daemon: Daemon, read_seconds: float | None = 10.0) -> httpx.AsyncClient:
    """Return what `open_http` returns, for an event loop."""
    return httpx.AsyncClient(
        **_options(daemon, read_seconds),
        transport=httpx.AsyncHTTPTransport(verify=_no_certificates(), uds=_socket_of(daemon)),
    )


def _options(daemon: Daemon, read_seconds: float | None) -> dict[str, Any]:
    return {
        "base_url": "http://localhost" if _socket_of(daemon) else daemon.url,
        "headers": {"Authorization": f"Bearer {daemon.token}"},
        "timeout": httpx.Timeout(HEALTH_SECONDS, read=read_seconds),
        "trust_env": False,
    }


def _socket_of(daemon: Daemon) -> str | None:
    return daemon.url.removeprefix("unix:") if daemon.url.startswith("unix:") else None


def _no_certificates() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def read_runtime_file(home: Home) -> Daemon | None:
    """Return what `daemon.json` says, whether or not that daemon still lives; None where there is no such file."""
    try:
        fields = json.loads(home.daemon_file.read_text(encoding="utf-8"))
        return Daemon(
            url=str(fields["url"]),
            token=str(fields["token"]),
            pid=int(fields["pid"]),
            version=str(fields["version"]),
            started=str(fields["started"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def find_daemon(home: Home) -> Daemon | None:
    """Return the daemon that runs for `home`, of whatever version; None where none does (a stale file counts as none).

    Raises DaemonUnavailable for one that is there but does not answer.
    """
    daemon = read_runtime_file(home)
    return daemon if daemon is not None and _answers(daemon) else None


def connect(home: Home, start: bool = True, report: Callable[[str], None] | None = None) -> Daemon:
    """Return a daemon of this version, started if need be; `report` is told in a line what is being done.

    Two callers at once get the same daemon. Raises DaemonUnavailable where none runs and `start` is False, or
    where it dies while it starts; Conflict where one of another version is at work.
    """
    say = report or (lambda _: None)
    daemon = find_daemon(home)
    if daemon is not None and daemon.version == VERSION:
        return daemon
    if not start:
        raise _refusal(daemon)
    home.make()
    try:
        with FileLock(home.runtime / "start.lock", timeout=START_SECONDS + STOP_SECONDS):
            daemon = find_daemon(home)
            if daemon is not None and daemon.version == VERSION:
                return daemon
            if daemon is not None:
                _retire(home, daemon, say)
            say("starting the daemon")
            return _start(home)
    except Timeout as error:
        message = "another process has been starting the daemon for too long."
        raise DaemonUnavailable(message, "See `lorebook logs`, then try again.") from error


def stop_daemon(home: Home, daemon: Daemon) -> None:
    """Ask the daemon to end, and wait until it has; raises DaemonUnavailable where it stays."""
    try:
        with open_http(daemon) as http:
            http.post("/api/stop")
        with FileLock(home.runtime / "daemon.lock", timeout=STOP_SECONDS):
            pass  # the daemon holds this lock for as long as it lives
    except Timeout as error:
        message = f"the daemon (pid {daemon.pid}) was asked to stop and still runs after {STOP_SECONDS:.0f} s."
        raise DaemonUnavailable(message, f"End it yourself: kill {daemon.pid}") from error
    except httpx.TransportError as error:
        raise DaemonUnavailable(f"the daemon (pid {daemon.pid}) does not answer.", "See `lorebook logs`.") from error


def _answers(daemon: Daemon) -> bool:
    """Return whether this very daemon answers: the port may be another program's by now."""
    try:
        with open_http(daemon, HEALTH_SECONDS) as http:
            response = http.get("/health", headers={"Authorization": ""})
            return response.status_code == 200 and response.json().get("version") == daemon.version
    except httpx.TimeoutException as error:
        message = f"the daemon (pid {daemon.pid}) is there but has not answered for {HEALTH_SECONDS:.0f} s."
        raise DaemonUnavailable(message, "Try again, or see `lorebook logs`.") from error
    except (httpx.TransportError, httpx.InvalidURL, ValueError, AttributeError):
        return False


def _refusal(daemon: Daemon | None) -> DaemonUnavailable:
    if daemon is None:
        return DaemonUnavailable("no daemon is running.", "Start it: lorebook serve (or leave out --no-daemon-start)")
    message = f"the daemon that runs is version {daemon.version}, this is {VERSION}."
    return DaemonUnavailable(message, "Type: lorebook stop (or leave out --no-daemon-start)")


def _retire(home: Home, daemon: Daemon, say: Callable[[str], None]) -> None:
    """Stop a daemon of another version; raises Conflict where it is at work."""
    with open_http(daemon) as http:
        response = http.get("/api/status")
    status: Any = response.json() if response.status_code == 200 else {}
    if isinstance(status, dict) and status.get("queue"):
        message = f"a daemon of version {daemon.version} is at work; this is version {VERSION}."
        raise Conflict(message, "Wait until it is done, or type: lorebook stop")
    say(f"stopping the daemon of version {daemon.version}; this is version {VERSION}")
    stop_daemon(home, daemon)


def _start(home: Home) -> Daemon:
    """Start a daemon that outlives this process, and wait until it answers."""
    written = home.log_file.stat().st_size if home.log_file.exists() else 0
    child = _spawn(home)
    # Reaped by a thread whenever it ends: a notebook's kernel may live on for days.
    threading.Thread(target=child.wait, name="lorebook-daemon-reaper", daemon=True).start()
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        ended = child.poll() is not None
        try:
            daemon = find_daemon(home)
        except DaemonUnavailable:
            daemon = None
        if daemon is not None and daemon.version == VERSION:
            return daemon
        if ended:
            raise DaemonUnavailable(f"the daemon did not start: {_last_line(home, written)}", "See `lorebook logs`.")
        time.sleep(0.05)
    raise DaemonUnavailable(f"the daemon has not answered for {START_SECONDS:.0f} s.", "See `lorebook logs`.")


def _spawn(home: Home) -> subprocess.Popen[bytes]:
    environment = dict(os.environ)
    if "LOREBOOK_HOME" in environment:
        environment["LOREBOOK_HOME"] = str(Path(environment["LOREBOOK_HOME"]).expanduser().absolute())
    flags = 0
    if sys.platform == "win32":
        flags = subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP
    with home.log_file.open("ab") as log:
        return subprocess.Popen(
            # -P: a queue.py in the person's folder must not be taken for the standard library's.
            [sys.executable, "-P", "-m", "lorebook_daemon", "serve"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=home.runtime,
            env=environment,
            start_new_session=True,
            creationflags=flags,
        )


def _last_line(home: Home, start: int) -> str:
    """Return the last line that the daemon wrote since byte `start` of its log."""
    with home.log_file.open("rb") as log:
        log.seek(start)
        lines = [line.strip() for line in log.read().decode("utf-8", errors="replace").splitlines()]
    return next((line for line in reversed(lines) if line), "it said nothing.")
