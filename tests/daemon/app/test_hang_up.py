"""A real uvicorn on a loopback port: hang-ups, cancels and the stop, wherever the question is."""

import asyncio
import contextlib
import dataclasses
import json
import socket

import httpx
import pytest

from fake_app import AUTHORIZED, Bench, eventually, parse_events
from fakes import FakeEngine
from lorebook_api.asking import AskRequest
from lorebook_api.errors import DaemonUnavailable
from lorebook_daemon.app import events as module


def ask_body(notes, request_id="q", model="auto"):
    return dataclasses.asdict(AskRequest("what was the rate?", (str(notes),), model, request_id=request_id))


@contextlib.asynccontextmanager
async def served(bench):
    async with bench.served() as url, httpx.AsyncClient(base_url=url, headers=AUTHORIZED, trust_env=False) as http:
        yield http


async def asked(http, notes, request_id="q", model="auto"):
    response = await http.post("/api/ask", json=ask_body(notes, request_id, model))
    return parse_events(response.text) if response.status_code == 200 else [("error", response.json())]


@pytest.fixture
def slow():
    bench = Bench()
    bench.engine = FakeEngine(pause_s=0.05, answer="word " * 300)
    return bench


def test_a_hang_up_during_generation_ends_it_within_a_second(slow, notes):
    async def scene():
        async with served(slow) as http:
            async with http.stream("POST", "/api/ask", json=ask_body(notes)) as response:
                async for line in response.aiter_lines():
                    if line == "event: token":
                        break
                assert slow.parts.engines.depth == 1
            await eventually(lambda: slow.engine.cancelled == 1 and slow.parts.engines.depth == 0)

    asyncio.run(scene())


@pytest.mark.parametrize("where", ["finding", "loading", "generating", "indexing"])
def test_cancel_by_id_ends_it_within_a_second_wherever_it_is(slow, notes, where):
    gates = {"finding": slow.models.may_find, "loading": slow.may_load, "indexing": slow.indexes.may_read}
    if where in gates:
        gates[where].clear()

    def there():
        return {
            "finding": lambda: bool(slow.indexes.committed),
            "loading": lambda: bool(slow.loads),
            "generating": lambda: bool(slow.engine.prompts),
            "indexing": lambda: bool(slow.indexes.runs),
        }[where]()

    async def scene():
        async with served(slow) as http:
            asking = asyncio.create_task(asked(http, notes))
            await eventually(there)
            assert (await http.post("/api/cancel", json={"request_id": "q"})).json() == {"cancelled": True}
            async with asyncio.timeout(1):
                events = await asking
            name, body = events[-1]
            assert (name, body["error"]["type"], body["error"]["code"]) == ("error", "cancelled", 499)
            await eventually(lambda: slow.parts.engines.depth == 0)

    asyncio.run(scene())


def test_two_asks_of_one_model_stream_at_the_same_time(slow, notes):
    async def scene():
        async with (
            served(slow) as http,
            http.stream("POST", "/api/ask", json=ask_body(notes, "a")) as one,
            http.stream("POST", "/api/ask", json=ask_body(notes, "b")) as two,
        ):
            streams = [one.aiter_lines(), two.aiter_lines()]
            heard = [[line async for line in _until_token(lines)] for lines in streams]
            assert "waiting" not in str(heard)
            assert slow.engine.running == slow.parts.engines.depth == 2
            await http.post("/api/cancel", json={"request_id": "a"})
            await eventually(lambda: slow.engine.cancelled == 1)
            assert slow.engine.running == 1  # the other goes on

    asyncio.run(scene())


async def _until_token(lines):
    """Yield the lines up to the first token; the rest stays in `lines`."""
    line = ""
    while line != "event: token":
        line = await anext(lines)
        yield line


def test_two_asks_of_one_model_are_both_answered_whole(notes):
    bench = Bench()
    bench.engine = FakeEngine(pause_s=0.005, answer="word " * 20)

    async def scene():
        async with served(bench) as http:
            both = await asyncio.gather(asked(http, notes, "a"), asked(http, notes, "b"))
        assert [events[-1][1]["answer"] for events in both] == ["word " * 20] * 2
        assert (bench.engine.together, bench.loads) == (2, ["tiny"])

    asyncio.run(scene())


def test_cancelled_while_it_waits_for_another_model_it_leaves_the_others_where_they_were(slow, notes):
    async def scene():
        async with served(slow) as http:
            asking = {}
            for name, model in (("a", "one"), ("b", "two"), ("c", "one"), ("d", "three")):
                asking[name] = asyncio.create_task(asked(http, notes, name, model))
                depth = len(asking)
                await eventually(lambda depth=depth: slow.parts.engines.depth == depth)
            await eventually(lambda: slow.engine.running == 1)
            await http.post("/api/cancel", json={"request_id": "b"})
            events = await asking["b"]
            assert ("progress", {"what": "waiting for 1 before this", "done": 0, "total": 0}) in events
            assert events[-1][1]["error"]["type"] == "cancelled"
            await eventually(lambda: slow.engine.running == 2)  # c shares the model of a
            await http.post("/api/cancel", json={"request_id": "a"})
            await http.post("/api/cancel", json={"request_id": "c"})
            await eventually(lambda: slow.loads == ["one", "three"])
            await http.post("/api/cancel", json={"request_id": "d"})
            await asyncio.gather(*asking.values())
            await eventually(lambda: slow.parts.engines.depth == 0)

    asyncio.run(scene())


def test_a_model_is_removed_once_nobody_uses_it(slow, notes):
    async def scene():
        async with served(slow) as http:
            asking = asyncio.create_task(asked(http, notes, "q"))
            await eventually(lambda: slow.engine.running == 1)
            assert (await http.delete("/api/models/unused")).json() == {"removed": "unused"}
            removing = asyncio.create_task(http.delete("/api/models/tiny"))
            await eventually(lambda: slow.parts.engines.depth == 2)
            assert (slow.models.removed, slow.engine.closed) == (["unused"], False)
            await http.post("/api/cancel", json={"request_id": "q"})
            assert (await removing).json() == {"removed": "tiny"}
            assert (slow.models.removed, slow.engine.closed) == (["unused", "tiny"], True)
            await asking

    asyncio.run(scene())


def test_a_hang_up_ends_the_indexing_it_asked_for(bench, notes):
    bench.indexes.may_read.clear()

    async def scene():
        async with served(bench) as http:
            async with http.stream("POST", "/api/index", json={"roots": [str(notes)]}) as response:
                async for _ in response.aiter_lines():
                    break
            await eventually(lambda: bench.indexes.ended_early == 1)

    asyncio.run(scene())


@pytest.mark.parametrize("bound", [{"WAITING_BYTES": 1 << 20}, {"TAKING_SECONDS": 0.2}])
def test_a_client_that_neither_reads_nor_hangs_up_ends_its_work(monkeypatch, notes, bound):
    for name, value in {"TAKING_SECONDS": 0.4, **bound}.items():
        monkeypatch.setattr(module, name, value)
    bench = Bench()
    bench.engine = FakeEngine(pause_s=0.001, answer=f"{'x' * 100_000} " * 400)

    async def scene():
        async with bench.served() as url:
            host, port = url.removeprefix("http://").split(":")
            with socket.create_connection((host, int(port))) as client:
                body = json.dumps(ask_body(notes)).encode()
                lines = [f"POST /api/ask HTTP/1.1\r\nHost: {host}:{port}", f"Content-Length: {len(body)}"]
                lines += ["Content-Type: application/json", *(f"{k}: {v}" for k, v in AUTHORIZED.items()), "\r\n"]
                client.sendall("\r\n".join(lines).encode() + body)
                await eventually(lambda: bench.engine.running == 1)
                await eventually(lambda: bench.engine.cancelled == 1, 5)
                await eventually(lambda: not bench.parts.running and bench.parts.activity.idle_s > 0, 5)
                assert client.recv(1) == b"H"  # it was never hung up on this side

    asyncio.run(scene())


def test_a_hang_up_leaves_an_indexing_that_others_wait_for(bench, notes):
    bench.indexes.may_read.clear()

    async def scene():
        async with served(bench) as http:
            async with http.stream("POST", "/api/index", json={"roots": [str(notes)]}) as response:
                lines = response.aiter_lines()
                await anext(lines)  # kept: an iterator that is let go of hangs up by itself
                asking = asyncio.create_task(asked(http, notes))
                await eventually(lambda: len(bench.parts.running) == 2)
                await asyncio.sleep(0.05)
            await eventually(lambda: len(bench.parts.running) == 1)
            bench.indexes.may_read.set()
            assert (await asking)[-1][0] == "answer"
            assert (len(bench.indexes.runs), bench.indexes.ended_early) == (1, 0)

    asyncio.run(scene())


def test_the_stop_is_told_to_those_who_wait(slow, notes):
    async def scene():
        async with served(slow) as http:
            asking = asyncio.create_task(asked(http, notes))
            await eventually(lambda: bool(slow.engine.prompts))
            slow.parts.running.end_all(DaemonUnavailable("The daemon was told to stop."))
            name, body = (await asking)[-1]
            assert (name, body["error"]["type"]) == ("error", "unavailable_error")

    asyncio.run(scene())


def test_status_answers_while_an_answer_is_made(slow, notes):
    async def scene():
        async with served(slow) as http:
            asking = asyncio.create_task(asked(http, notes))
            await eventually(lambda: bool(slow.engine.prompts))
            async with asyncio.timeout(1):
                assert (await http.get("/api/status")).json()["queue"] == 1
            await http.post("/api/cancel", json={"request_id": "q"})
            await asking

    asyncio.run(scene())
