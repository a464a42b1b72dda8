import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_app import eventually, parse_events
from lorebook_api.errors import Cancelled, Conflict, EngineDied, NotFound
from lorebook_api.indexing import Progress
from lorebook_daemon.app import events as module
from lorebook_daemon.app.events import EventStream, encode
from lorebook_daemon.app.running import Running

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_an_event_is_two_lines_whatever_its_text(data):
    event, line, *rest = encode("token", data).decode("ascii").splitlines()
    assert event == "event: token"
    assert rest == [""]
    assert json.loads(line.removeprefix("data: ")) == data


def test_dataclasses_go_into_events_as_objects_at_any_depth():
    ((name, data),) = parse_events(encode("done", {"all": [Progress("x", 1, 2)]}).decode())
    assert (name, data) == ("done", {"all": [{"what": "x", "done": 1, "total": 2}]})


class Wire:
    """One request over bare ASGI: what was sent, and a client that hangs up on command."""

    def __init__(self):
        self.sent = []
        self.hung_up = asyncio.Event()

    async def receive(self):
        await self.hung_up.wait()
        return {"type": "http.disconnect"}

    async def send(self, message):
        self.sent.append(message)

    @property
    def text(self):
        return b"".join(message.get("body", b"") for message in self.sent).decode()

    async def answer(self, work, running=None, ping_s=10.0, request_id="r"):
        stream = EventStream(work, request_id, running if running is not None else Running(), ping_s)
        await stream({"type": "http"}, self.receive, self.send)


def test_events_come_in_order_and_the_stream_ends():
    async def work(emit):
        emit("token", {"text": "a"})
        await asyncio.sleep(0)
        emit("answer", {"answer": "a"})

    wire = Wire()
    asyncio.run(wire.answer(work))
    start = wire.sent[0]
    assert start["status"] == 200
    headers = dict(start["headers"])
    assert headers[b"content-type"] == b"text/event-stream; charset=utf-8"
    assert headers[b"x-request-id"] == b"r"
    assert b"content-length" not in headers
    assert [name for name, _ in parse_events(wire.text)] == ["token", "answer"]
    assert wire.sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}


def test_an_error_before_the_first_event_is_raised_for_its_status():
    async def work(emit):
        raise NotFound("no such root")

    wire = Wire()
    with pytest.raises(NotFound, match="no such root"):
        asyncio.run(wire.answer(work))
    assert wire.sent == []


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (EngineDied("it died", "ask again"), "engine_died_error", "it died"),
        (ZeroDivisionError("secret"), "internal_error", "The daemon met an error of its own."),
    ],
)
def test_an_error_after_the_first_event_is_the_last_event(error, kind, message):
    async def work(emit):
        emit("token", {"text": "a"})
        await asyncio.sleep(0)
        raise error

    wire = Wire()
    asyncio.run(wire.answer(work))
    name, body = parse_events(wire.text)[-1]
    assert name == "error"
    assert body["error"]["type"] == kind
    assert body["error"]["message"] == message
    assert "secret" not in wire.text


def test_silence_is_broken_by_pings():
    async def work(emit):
        await asyncio.sleep(0.08)
        emit("answer", {})

    wire = Wire()
    asyncio.run(wire.answer(work, ping_s=0.02))
    assert wire.text.startswith(": ping\n\n: ping\n\n")
    assert parse_events(wire.text) == [("answer", {})]


def test_a_hang_up_cancels_the_work():
    async def scene():
        wire, ended = Wire(), asyncio.Event()

        async def work(emit):
            emit("token", {"text": "a"})
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        answering = asyncio.create_task(wire.answer(work))
        await eventually(lambda: len(wire.sent) > 1)
        wire.hung_up.set()
        await asyncio.wait_for(answering, 1)
        assert ended.is_set()

    asyncio.run(scene())


def test_ended_from_outside_it_tells_why():
    async def scene():
        wire, running = Wire(), Running()

        async def work(emit):
            emit("token", {"text": "a"})
            await asyncio.Event().wait()

        answering = asyncio.create_task(wire.answer(work, running))
        await eventually(lambda: len(wire.sent) > 1)
        assert running.end("r", Cancelled("The request was cancelled."))
        await asyncio.wait_for(answering, 1)
        assert parse_events(wire.text)[-1][1]["error"]["type"] == "cancelled"
        assert len(running) == 0
        assert not running.end("r", Cancelled("again"))

    asyncio.run(scene())


def test_cancelled_before_its_first_step_it_ends_all_the_same():
    async def scene():
        wire, running = Wire(), Running()

        async def work(emit):
            raise AssertionError("never entered")

        answering = asyncio.create_task(wire.answer(work, running))
        while not running:
            await asyncio.sleep(0)
            running.end_all(Cancelled("at once"))
        with pytest.raises(Cancelled, match="at once"):
            await asyncio.wait_for(answering, 1)

    asyncio.run(scene())


class Reluctant(Wire):
    """A client that takes messages only when it is let, as many as it is let."""

    def __init__(self, takes=0):
        super().__init__()
        self.may_take = asyncio.Semaphore(takes)

    async def send(self, message):
        await self.may_take.acquire()
        await super().send(message)


def chatter(stopped, size=1000):
    """Return work that emits for ever."""

    async def work(emit):
        try:
            while True:
                emit("token", {"text": "x" * size})
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            stopped.set()
            raise

    return work


def test_what_too_much_waits_for_to_be_read_is_ended_and_says_why(monkeypatch):
    monkeypatch.setattr(module, "WAITING_BYTES", 3 << 20)

    async def scene():
        wire, running, stopped = Reluctant(), Running(), asyncio.Event()
        answering = asyncio.create_task(wire.answer(chatter(stopped, 50_000), running))
        await asyncio.wait_for(stopped.wait(), 5)
        for _ in range(1000):
            wire.may_take.release()  # now it reads
        await asyncio.wait_for(answering, 5)
        *tokens, (name, body) = parse_events(wire.text)
        assert 60 <= len(tokens) <= 65, "3 MiB and one event"
        assert (name, body["error"]["type"]) == ("error", "cancelled")
        assert "3 MB" in body["error"]["message"] and body["error"]["hint"]
        assert len(running) == 0

    asyncio.run(scene())


def test_a_client_that_takes_nothing_ends_its_work(monkeypatch, caplog):
    monkeypatch.setattr(module, "TAKING_SECONDS", 0.05)

    async def scene():
        wire, running, stopped = Reluctant(3), Running(), asyncio.Event()
        await asyncio.wait_for(wire.answer(chatter(stopped), running), 5)
        assert stopped.is_set()
        assert len(running) == 0
        assert len(wire.sent) == 3

    asyncio.run(scene())
    assert "took nothing" in caplog.text


def test_an_answer_that_is_whole_waits_no_longer_for_its_client(monkeypatch):
    monkeypatch.setattr(module, "TAKING_SECONDS", 0.05)

    async def work(emit):
        emit("answer", {"answer": "a"})

    async def scene():
        wire, running = Reluctant(1), Running()
        await asyncio.wait_for(wire.answer(work, running), 5)
        assert len(running) == 0

    asyncio.run(scene())


def test_a_slow_client_that_reads_loses_nothing(monkeypatch):
    monkeypatch.setattr(module, "TAKING_SECONDS", 0.2)
    monkeypatch.setattr(module, "_PIECE_BYTES", 1000)
    monkeypatch.setattr(module, "WAITING_BYTES", 4000)
    sent = [{"text": f"{n}" * 2500} for n in range(5)] + [{"text": "x" * 40_000}]

    async def work(emit):
        for data in sent:
            emit("token", data)
            await asyncio.sleep(0.05)

    async def scene():
        wire = Reluctant()
        answering = asyncio.create_task(wire.answer(work))
        while not answering.done():
            wire.may_take.release()
            await asyncio.sleep(0.01)
        await answering
        assert [data for _, data in parse_events(wire.text)] == sent

    asyncio.run(scene())


def test_an_id_in_hand_is_refused():
    async def scene():
        wire, running = Wire(), Running()

        async def work(emit):
            await asyncio.Event().wait()

        first = asyncio.create_task(wire.answer(work, running))
        await eventually(lambda: len(running) == 1)
        with pytest.raises(Conflict):
            await Wire().answer(work, running)
        assert len(running) == 1
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)

    asyncio.run(scene())
