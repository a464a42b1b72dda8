import json
import os
import socket
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import fake_daemon
from fake_daemon import FakeDaemon
from lorebook_api import discovery
from lorebook_api.discovery import connect, find_daemon, stop_daemon
from lorebook_api.errors import Conflict, DaemonUnavailable
from lorebook_api.home import Home
from lorebook_api.version import VERSION

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def started(home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Let `connect` start the fake in place of the daemon; the list holds the processes that were started."""
    pids: list[int] = []

    def spawn(home: Home) -> subprocess.Popen[bytes]:
        with home.log_file.open("ab") as log:
            child = subprocess.Popen(
                [sys.executable, fake_daemon.__file__, str(home.runtime.parent)], stdout=log, stderr=log
            )
        pids.append(child.pid)
        return child

    monkeypatch.setattr(discovery, "_spawn", spawn)
    yield pids
    daemon = find_daemon(home)
    if daemon:
        stop_daemon(home, daemon)


def write_runtime_file(home: Home, url: str) -> None:
    told = {"url": url, "token": "t", "pid": os.getpid(), "version": VERSION, "started": ""}
    home.daemon_file.write_text(json.dumps(told))


def test_the_version_is_the_projects() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == VERSION


def test_a_daemon_that_answers_is_found(home: Home) -> None:
    with FakeDaemon(home.runtime) as fake:
        daemon = find_daemon(home)
        assert daemon is not None and daemon.url == fake.url and daemon.token == fake_daemon.TOKEN
        assert connect(home, start=False) == daemon
        assert not any(fake_daemon.TOKEN in call.authorization for call in fake.of("/health"))


@pytest.mark.parametrize("text", ["", "[]", "{}", "not json", '{"url": 1, "token": "", "pid": "x"}'])
def test_a_damaged_runtime_file_counts_as_none(home: Home, text: str) -> None:
    home.daemon_file.write_text(text)
    assert find_daemon(home) is None


def test_a_stale_runtime_file_counts_as_none(home: Home) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    write_runtime_file(home, f"http://127.0.0.1:{port}")
    assert find_daemon(home) is None


def test_another_program_at_the_port_counts_as_none(home: Home) -> None:
    with FakeDaemon(home.state, version="9.9") as stranger:
        write_runtime_file(home, stranger.url)
        assert find_daemon(home) is None


def test_a_daemon_that_hangs_is_told_apart_from_none(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "HEALTH_SECONDS", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        write_runtime_file(home, f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(DaemonUnavailable, match="has not answered"):
            find_daemon(home)


def test_without_start_the_hint_says_how(home: Home) -> None:
    with pytest.raises(DaemonUnavailable) as caught:
        connect(home, start=False)
    assert "lorebook serve" in caught.value.hint
    with FakeDaemon(home.runtime, version="9.9"), pytest.raises(DaemonUnavailable, match=r"9\.9"):
        connect(home, start=False)


def test_two_starts_at_once_find_one_daemon(home: Home, started: list[int]) -> None:
    found = []
    threads = [threading.Thread(target=lambda: found.append(connect(home))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3 and len(set(found)) == 1 and len(started) == 1
    assert found[0].pid == started[0]


def test_a_daemon_of_another_version_is_replaced(home: Home, started: list[int]) -> None:
    said: list[str] = []
    with FakeDaemon(home.runtime, version="0.0.1") as old:
        daemon = connect(home, report=said.append)
        assert old.stopped.is_set()
    assert daemon.version == VERSION and len(started) == 1
    assert any("0.0.1" in line for line in said)


def test_a_busy_daemon_of_another_version_is_left_alone(home: Home, started: list[int]) -> None:
    with FakeDaemon(home.runtime, version="0.0.1", queue=2) as old:
        with pytest.raises(Conflict, match="at work"):
            connect(home)
        assert not old.stopped.is_set() and not started


def test_a_daemon_that_dies_while_it_starts_says_why(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.log_file.write_text("yesterday's line\n")

    def spawn(home: Home) -> subprocess.Popen[bytes]:
        with home.log_file.open("ab") as log:
            return subprocess.Popen([sys.executable, "-c", "raise SystemExit('no room at the inn')"], stderr=log)

    monkeypatch.setattr(discovery, "_spawn", spawn)
    with pytest.raises(DaemonUnavailable, match="no room at the inn"):
        connect(home)


def test_a_daemon_that_never_answers_is_given_up(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    monkeypatch.setattr(discovery, "START_SECONDS", 0.2)
    monkeypatch.setattr(discovery, "_spawn", lambda home: child)
    with pytest.raises(DaemonUnavailable, match="has not answered"):
        connect(home)
    child.kill()
    child.wait()


def test_the_real_command_is_spawned_detached_and_its_last_words_are_told(
    home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A bad setting makes the real `serve` fail at once; a queue.py in the current folder must not matter."""
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "queue.py").write_text("raise SystemExit('the wrong queue')")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("LOREBOOK_PORT", "nowhere")
    monkeypatch.setenv("LOREBOOK_HOME", "../home")
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY / "daemon"))
    begun = time.monotonic()
    with pytest.raises(DaemonUnavailable, match="port is 'nowhere'"):
        connect(home)
    assert time.monotonic() - begun < 30
