"""The arena over HTTP: a battle is blind until its vote, and says nothing of who answers."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from fake_app import AUTHORIZED, HOST, Bench, parse_events, plain_answer
from lorebook_daemon.app.application import create_app
from lorebook_daemon.engine.protocol import Priority

SIDES = [{"name": "plain"}, {"name": "kind", "system": "Be kind.", "adapters": [{"name": "soft"}]}]


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


@pytest.fixture
def notes(tmp_path: Path) -> str:
    (tmp_path / "a.txt").write_text("the rate was 42 percent")
    (tmp_path / "b.txt").write_text("the rate of rain")
    return str(tmp_path)


def test_a_side_that_looks_things_up_is_as_blind(client: TestClient, bench: Bench, notes: str) -> None:
    kind = {"name": "kind", "roots": [notes], "k": 1, "temperature": 0.5, "adapters": [{"name": "soft"}]}
    response = client.post(
        "/api/eval/arena/battle", json={"question": "what was the rate", "sides": [SIDES[0], kind], "max_tokens": 9}
    )
    events = parse_events(response.text)
    assert set(events[-1][1]) == {"id", "question", "a", "b"}
    assert "the rate was 42 percent" in (events[-1][1]["a"], events[-1][1]["b"])
    assert {data["what"] for name, data in events if name == "progress"} <= {"making ready", "answering"}
    assert "a.txt" not in response.text and "kind" not in response.text and notes not in response.text
    read = [prompt.passages for prompt in bench.engine.prompts]
    assert sorted(map(len, read)) == [0, 1], "one passage for the one, none for the other"
    drawn = [call.sampling.temperature for call in bench.engine.calls if call.what == "generate" and call.sampling]
    assert sorted(drawn) == [0.0, 0.5]
    assert {call.turn.priority for call in bench.engine.calls} == {Priority.ask}, "somebody waits"


def test_two_ways_of_looking_up_are_compared(client: TestClient, bench: Bench, notes: str, tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text('{"question": "what was the rate"}\n')
    sides = [{"name": "narrow", "roots": [notes], "k": 1}, {"name": "wide", "roots": [notes], "k": 2}]
    response = client.post("/api/eval/arena/judge", json={"path": str(prompts), "sides": sides})
    name, data = parse_events(response.text)[-1]
    assert (name, data["votes"], data["skipped"]) == ("done", 1, [])
    assert sorted(len(prompt.passages) for prompt in bench.engine.prompts) == [1, 2]
    assert {call.turn.priority for call in bench.engine.calls} == {Priority.eval}, "nobody waits"


def test_a_side_has_context_steps_of_its_own_and_shows_no_marks(bench: Bench, notes: str) -> None:
    heard = []

    async def answer(request: Any, retriever: Any, engine: Any, emit: Any, settings: Any, *turn: Any) -> Any:
        heard.append((settings.context_steps, request.rewrite, request.max_tokens))
        found = await plain_answer(request, retriever, engine, emit, settings, *turn)
        return dataclasses.replace(found, answer="It is so. [1] And so. [2]")

    parts = dataclasses.replace(bench.parts, answer=answer)
    with TestClient(create_app(parts), base_url=f"http://{HOST}", headers=AUTHORIZED) as client:
        told = battle(client, sides=[SIDES[0], {"name": "kind", "roots": [notes], "context_steps": "copies,window"}])
    assert "It is so. And so." in (told["a"], told["b"]), "marks would tell who it is"
    assert heard == [("copies,window", "none", 320)]


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
        ({"sides": [{"name": "x", "k": 3}, SIDES[0]]}, 400),
        ({"sides": [{"name": "x", "roots": ["/"], "k": 0}, SIDES[0]]}, 400),
        ({"sides": [{"name": "x", "roots": ["/"], "system": "Be kind."}, SIDES[0]]}, 400),
        ({"sides": [{"name": "x", "roots": ["/"], "context_steps": "jumping"}, SIDES[0]]}, 400),
        ({"sides": [{"name": "x", "roots": ["/no/such/folder"]}, SIDES[0]]}, 404),
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
