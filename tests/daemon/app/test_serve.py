"""The daemon whole: in this process with fakes, and as a process of its own with signals."""

import asyncio
import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time

import httpx
import pytest

from fake_app import AUTHORIZED, TOKEN, Bench, eventually, parse_events
from fakes import FakeEngine
from lorebook_api.asking import AskRequest
from lorebook_daemon.app.endpoint import listen
from lorebook_daemon.app.guard import Credentials
from lorebook_daemon.app.serve import run


@contextlib.asynccontextmanager
async def running(bench, home, **settings):
    """Run the daemon around fakes; yields a client, the task, and what stops it."""
    stop = asyncio.Event()
    with contextlib.closing(listen(0)) as endpoint:
        parts = dataclasses.replace(
            bench.parts,
            settings=dataclasses.replace(bench.parts.settings, **settings),
            told=dataclasses.replace(bench.parts.told, url=endpoint.url),
            credentials=Credentials(TOKEN, endpoint.hosts),
            stop=stop.set,
        )
        task = asyncio.create_task(run(parts, home, endpoint, stop))
        await eventually(home.daemon_file.exists)
        async with httpx.AsyncClient(base_url=endpoint.url, headers=AUTHORIZED, trust_env=False) as http:
            yield http, task
        stop.set()
        await task


def test_a_stop_ends_streams_with_a_reason_the_engine_and_the_runtime_file(home, notes):
    bench = Bench()
    bench.engine = FakeEngine(pause_s=0.05, answer="word " * 300)

    async def scene():
        async with running(bench, home) as (http, task):
            body = dataclasses.asdict(AskRequest("rate?", (str(notes),)))
            asking = asyncio.create_task(http.post("/api/ask", json=body))
            await eventually(lambda: bool(bench.engine.prompts))
            assert (await http.post("/api/stop")).json() == {"stopping": True}
            await eventually(lambda: not home.daemon_file.exists())
            name, body = parse_events((await asking).text)[-1]
            assert (name, body["error"]["type"]) == ("error", "unavailable_error")
            async with asyncio.timeout(4):
                await task
            assert bench.engine.closed

    asyncio.run(scene())


def test_it_ends_itself_when_idle_but_not_while_it_works(home, notes):
    bench = Bench()
    bench.indexes.may_read.clear()

    async def scene():
        async with running(bench, home, idle_stop_minutes=0.6 / 60) as (http, task):
            indexing = asyncio.create_task(http.post("/api/index", json={"roots": [str(notes)]}))
            await asyncio.sleep(1.0)
            assert not task.done()
            bench.indexes.may_read.set()
            assert (await indexing).status_code == 200
            async with asyncio.timeout(4):
                await task
        assert not home.daemon_file.exists()

    asyncio.run(scene())


def test_served_roots_are_indexed_at_the_start_and_a_bad_one_harms_nobody(home, notes, tmp_path):
    bench = Bench(served=(tmp_path / "gone", notes))

    async def scene():
        async with running(bench, home) as (http, _):
            await eventually(lambda: notes in bench.indexes.vectors)
            assert (await http.get("/health")).status_code == 200

    asyncio.run(scene())


DAEMON = """
import asyncio, sys
from lorebook_api.errors import LorebookError
from lorebook_api.home import find_home
from lorebook_daemon.app.serve import serve
from lorebook_daemon.settings import Settings
try:
    asyncio.run(serve(Settings(offline=True, idle_stop_minutes=5), find_home()))
except LorebookError as error:
    print(error)
    sys.exit(1)
"""


@contextlib.contextmanager
def daemon(home):
    with subprocess.Popen([sys.executable, "-c", DAEMON], stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def told_by(home, process):
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        assert process.poll() is None
        with contextlib.suppress(OSError, ValueError):
            told = json.loads(home.daemon_file.read_text())
            if told["pid"] == process.pid:
                return told
        time.sleep(0.02)
    raise AssertionError("no runtime file came")


def call(told, method, path, **body):
    headers = {"Authorization": f"Bearer {told['token']}"}
    with httpx.Client(base_url=told["url"], headers=headers, trust_env=False, timeout=30) as http:
        return http.request(method, path, json=body or None)


@pytest.mark.daemon
@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_a_daemon_s_life(home, notes):
    with daemon(home) as first:
        told = told_by(home, first)
        answer = call(told, "POST", "/api/search", query="null rows", roots=[str(notes)]).json()
        assert answer["results"][0]["path"] == "b.txt"
        assert answer["retrieval"] == "lexical"
        assert any("words alone" in notice for notice in answer["notices"])
        with daemon(home) as second:
            assert told["url"] in second.communicate(timeout=30)[0]
            assert second.returncode == 1
        first.kill()
        first.wait()
    assert json.loads(home.daemon_file.read_text()) == told  # stale now

    with daemon(home) as third:
        again = told_by(home, third)
        assert again["token"] != told["token"]
        response = call(again, "POST", "/api/search", query="null rows", roots=[str(notes)])
        assert response.json()["results"][0]["path"] == "b.txt"
        third.send_signal(signal.SIGTERM)
        assert third.wait(timeout=10) == 0
    assert not home.daemon_file.exists()
    log = home.log_file.read_text()
    assert "POST /api/search 200" in log
    assert told["token"] not in log
    assert "null rows" not in log


@pytest.mark.daemon
def test_a_model_that_is_not_here_is_404_with_what_to_type(home, notes):
    with daemon(home) as process:
        told = told_by(home, process)
        body = dataclasses.asdict(AskRequest("rate?", grounding=False, model="qwen2.5-coder-0.5b-instruct-q4_k_m"))
        response = call(told, "POST", "/api/ask", **body)
        assert response.status_code == 404
        assert response.json()["error"]["hint"]
        assert call(told, "POST", "/api/stop").status_code == 200
        assert process.wait(timeout=10) == 0
