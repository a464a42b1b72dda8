"""The events of a question on an event loop."""

import asyncio

import pytest

from fake_daemon import ANSWER, FakeDaemon
from lorebook_api.asking import AskRequest
from lorebook_api.client import Client, TokenText
from lorebook_api.discovery import connect
from lorebook_api.errors import EngineDied
from lorebook_api.home import Home
from lorebook_extension.events import follow

REQUEST = AskRequest("why?", ("/data",), request_id="an-id")


@pytest.fixture
def client(fake: FakeDaemon, home: Home) -> Client:
    return Client(connect(home, start=False))


def test_all_events_come_the_answer_last(client: Client, fake: FakeDaemon) -> None:
    async def all_events() -> list[object]:
        return [event async for event in follow(client, REQUEST)]

    events = asyncio.run(all_events())
    assert events[-1] == ANSWER and any(isinstance(event, TokenText) for event in events)
    assert not fake.of("/api/cancel")


def test_an_error_of_the_daemon_is_raised_and_nothing_is_taken_back(client: Client, fake: FakeDaemon) -> None:
    fake.scripts.ask = [("token", {"text": "half"}), ("error", EngineDied("it died.").body())]

    async def first_and_second() -> None:
        async for _ in follow(client, REQUEST):
            pass

    with pytest.raises(EngineDied):
        asyncio.run(first_and_second())
    assert not fake.of("/api/cancel")


def test_who_goes_away_takes_the_question_back(client: Client, fake: FakeDaemon) -> None:
    fake.scripts.ask = [("token", {"text": "half"}), 20]

    async def leave() -> None:
        events = follow(client, REQUEST)
        assert await anext(events) == TokenText("half")
        waiting = asyncio.create_task(anext(events))
        await asyncio.sleep(0.05)
        waiting.cancel()
        await asyncio.wait({waiting})

    asyncio.run(leave())
    assert fake.of("/api/cancel")[0].body == {"request_id": "an-id"}
