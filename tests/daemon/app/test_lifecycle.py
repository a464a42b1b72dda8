import asyncio
import json
import logging
import os
import socket
import stat
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_app import eventually
from lorebook_api.discovery import Daemon
from lorebook_api.errors import BadRequest, Conflict, StorageFailed
from lorebook_daemon.app.activity import Activity, until_idle
from lorebook_daemon.app.endpoint import listen
from lorebook_daemon.app.lifecycle import announced, now, sole
from lorebook_daemon.app.logs import logging_to
from lorebook_daemon.app.threads import in_thread

TOLD = Daemon("http://127.0.0.1:1", "token", os.getpid(), "0.1.0", now())


def test_the_runtime_file_is_there_for_the_block_and_private(home):
    with announced(home, TOLD):
        assert json.loads(home.daemon_file.read_text()).keys() == {"url", "token", "pid", "version", "started"}
        if os.name == "posix":
            assert stat.S_IMODE(home.daemon_file.stat().st_mode) == 0o600
        assert [file.name for file in home.runtime.iterdir()] == ["daemon.json"]
    assert not home.daemon_file.exists()


def test_a_stale_or_broken_runtime_file_is_replaced(home):
    for left in ('{"url": "http://127.0.0.1:2", "token": "old", "pid": 999999}', "{half", "[]"):
        home.daemon_file.write_text(left)
        with sole(home), announced(home, TOLD):
            assert json.loads(home.daemon_file.read_text())["token"] == "token"
        assert not home.daemon_file.exists()


def test_another_s_runtime_file_is_left_alone(home):
    with announced(home, TOLD):
        home.daemon_file.write_text('{"token": "another"}')
    assert home.daemon_file.exists()


def test_a_runtime_folder_that_cannot_be_written_is_said(home):
    home.daemon_file.mkdir()
    with pytest.raises(StorageFailed, match=r"daemon\.json"), announced(home, TOLD):
        pass


HOLD = """
import sys
from lorebook_api.discovery import Daemon
from lorebook_api.home import find_home
from lorebook_daemon.app.lifecycle import announced, sole
home = find_home()
with sole(home), announced(home, Daemon("http://127.0.0.1:7", "t", 1, "v", "now")):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_the_second_start_is_told_where_the_first_is_and_a_killed_one_holds_nothing(home):
    with subprocess.Popen([sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
        assert first.stdout.readline() == b"held\n"
        with pytest.raises(Conflict, match=r"http://127\.0\.0\.1:7") as told, sole(home):
            pass
        assert "lorebook stop" in told.value.hint
        home.daemon_file.unlink()
        with pytest.raises(Conflict, match="starting or ending"), sole(home, patience_s=0.3):
            pass
        first.kill()
    with sole(home):
        pass


def test_a_port_in_use_is_a_conflict_with_the_way_out():
    first = listen(0)
    try:
        port = first.sock.getsockname()[1]
        assert first.url == f"http://127.0.0.1:{port}"
        assert first.hosts == {f"127.0.0.1:{port}", f"localhost:{port}", f"[::1]:{port}"}
        with pytest.raises(Conflict) as told:
            listen(port)
        assert "--port 0" in told.value.hint
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            pass  # it listens already: whoever reads the runtime file is not refused
    finally:
        first.close()
    listen(port).close()


def test_a_port_that_is_none():
    with pytest.raises(BadRequest, match="70000 is no port"):
        listen(70000)


@pytest.mark.skipif(sys.platform != "win32", reason="elsewhere there are unix sockets")
def test_unix_sockets_are_refused_on_windows(tmp_path):
    with pytest.raises(BadRequest, match="Windows"):
        listen(0, tmp_path / "s")


@pytest.mark.skipif(sys.platform == "win32", reason="no unix sockets")
def test_a_unix_socket_is_private_and_goes_at_the_end(tmp_path):
    path = tmp_path / "s"
    endpoint = listen(0, path)
    assert endpoint.url == f"unix:{path}"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(Conflict, match="listens"):
        listen(0, path)
    endpoint.close()
    assert not path.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="no unix sockets")
def test_a_dead_unix_socket_is_replaced_and_a_file_is_not(tmp_path):
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    listen(0, path).close()
    path.write_text("precious")
    with pytest.raises(Conflict, match="no socket"):
        listen(0, path)
    assert path.read_text() == "precious"
    with pytest.raises(BadRequest, match="cannot be bound"):
        listen(0, tmp_path / ("x" * 200))


@given(st.lists(st.tuples(st.sampled_from(["begin", "end", "wait"]), st.floats(0, 10)), max_size=30))
def test_idle_time_runs_only_between_pieces_of_work(steps):
    clock, hands, last = [0.0], 0, 0.0
    activity = Activity(lambda: clock[0])
    for step, seconds in steps:
        if step == "begin":
            activity.begin()
            hands += 1
        elif step == "end" and hands:
            activity.end()
            hands, last = hands - 1, clock[0]
        elif step == "wait":
            clock[0] += seconds
        assert activity.idle_s == (0.0 if hands else clock[0] - last)
        assert activity.uptime_s == clock[0]


def test_until_idle_waits_for_work_and_zero_means_never():
    async def scene():
        activity = Activity()
        with activity.working():
            waiting = asyncio.create_task(until_idle(activity, 0.05))
            await asyncio.sleep(0.15)
            assert not waiting.done()
        await asyncio.wait_for(waiting, 1)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(until_idle(activity, 0), 0.1)

    asyncio.run(scene())


def test_the_log_file_gets_our_lines_and_no_debug(home):
    with logging_to(home):
        logging.getLogger("lorebook_daemon.app.guard").info("GET /health 200 1 ms")
        logging.getLogger("httpx").info("not this")
        logging.getLogger("lorebook_daemon").debug("nor this")
    logging.getLogger("lorebook_daemon").info("too late")
    (line,) = home.log_file.read_text().splitlines()
    assert line.endswith("INFO lorebook_daemon.app.guard: GET /health 200 1 ms")


def test_work_in_a_thread_reports_into_the_loop_and_stops_when_its_waiter_is_gone():
    async def scene():
        heard, ended = [], []

        def work(report):
            try:
                for n in range(10_000):
                    report(n)
                    asyncio.run(asyncio.sleep(0.005))
            except Exception as error:
                ended.append(error)
                raise

        waiting = asyncio.create_task(in_thread(work, heard.append))
        await eventually(lambda: len(heard) > 2)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await eventually(lambda: bool(ended))
        assert heard == list(range(len(heard)))
        assert await in_thread(lambda report: 7, heard.append) == 7

    asyncio.run(scene())
