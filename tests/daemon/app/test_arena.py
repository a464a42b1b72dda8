"""The arena over HTTP: a battle is blind until its vote, and says nothing of who answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from fake_app import AUTHORIZED, HOST, Bench, parse_events
from lorebook_daemon.app.application import create_app

SIDES = [{"name": "plain"}, {"name": "kind", "system": "Be kind.", "adapters": [{"name": "soft"}]}]


@pytest.fixture
def client(bench: Bench) -> Iterator[TestClient]:
    with TestClient(create_app(bench.parts), base_url=f"http://{HOST}", headers=AUTHORIZED) as client:
        yield client


def battle(client: TestClient, **body: Any) -> dict[str, Any]:
    response = client.post("/api/eval/arena/battle", json={"question": "Why?", "sides": SIDES, **body})
    assert response.status_code == 200, response.text
    assert "plain" not in response.text and "kind" not in response.text.lower()
    assert "tiny" not in response.text, "the model that is loaded would tell"
    name, data = parse_events(response.text)[-1]
    assert name == "done"
    return data


def test_a_battle_is_blind_until_its_vote(client: TestClient, bench: Bench) -> None:
    told = battle(client)
    assert set(told) == {"id", "question", "a", "b"}
    systems = [prompt.messages[0].content for prompt in bench.engine.prompts if prompt.messages[0].role == "system"]
    assert systems == ["Be kind."]
    assert sorted(len(call.adapters) for call in bench.engine.calls if call.what == "generate") == [0, 1]
    seen = client.post("/api/eval/arena/vote", json={"battle": told["id"], "winner": "a"}).json()
    assert {seen["a"], seen["b"]} == {"plain", "kind"}
    again = client.post("/api/eval/arena/vote", json={"battle": told["id"], "winner": "b"})
    assert again.status_code == 409
    rated = client.get("/api/eval/arena").json()
    assert (rated["votes"], rated["enough"], len(rated["sides"])) == (1, False, 2)


def test_sides_are_shuffled(client: TestClient) -> None:
    firsts = set()
    for _ in range(40):
        told = battle(client)
        firsts.add(client.post("/api/eval/arena/vote", json={"battle": told["id"], "winner": "tie"}).json()["a"])
    assert firsts == {"plain", "kind"}


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"question": " "}, 400),
        ({"sides": [SIDES[0], SIDES[0]]}, 400),
        ({"sides": [{"name": ""}, SIDES[0]]}, 400),
        ({"sides": [{"name": "x" * 300}, SIDES[0]]}, 400),
        ({"sides": [{"name": "x", "temperature": -1}, SIDES[0]]}, 400),
        ({"sides": SIDES[:1]}, 400),
        ({"sides": [{"name": "x", "model": "missing"}, SIDES[0]]}, 404),
        ({"max_tokens": 0}, 400),
    ],
)
def test_what_cannot_be_fought_is_refused(client: TestClient, change: dict[str, Any], status: int) -> None:
    response = client.post("/api/eval/arena/battle", json={"question": "Why?", "sides": SIDES, **change})
    if response.status_code == 200:  # what came late is an event
        name, data = parse_events(response.text)[-1]
        assert name == "error" and data["error"]["code"] == status
        return
    assert response.status_code == status, response.text


def test_votes_that_are_none(client: TestClient) -> None:
    assert client.post("/api/eval/arena/vote", json={"battle": "none", "winner": "a"}).status_code == 404
    told = battle(client)
    assert client.post("/api/eval/arena/vote", json={"battle": told["id"], "winner": "c"}).status_code == 400
    assert client.get("/api/eval/arena/preferences").json() == {"preferences": []}
    assert client.delete("/api/eval/arena").json() == {"forgotten": 1}


def test_what_an_adapter_was_taught_is_told_with_its_rating(client: TestClient) -> None:
    for _ in range(2):
        client.post("/api/eval/arena/vote", json={"battle": battle(client)["id"], "winner": "a"})
    told = [notice for notice in client.get("/api/eval/arena").json()["notices"] if "taught" in notice]
    assert told == ["kind: What soft was taught is not known here; whether it knows the test neither."]
