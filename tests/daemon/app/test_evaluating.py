"""Evaluation over HTTP: progress, then the report; what cannot be measured is refused with its reason."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from fake_app import AUTHORIZED, HOST, Bench, parse_events
from lorebook_daemon.answer.ask import ask
from lorebook_daemon.app.application import create_app
from lorebook_daemon.engine.protocol import Priority


@pytest.fixture
def client(bench: Bench) -> Iterator[TestClient]:
    with TestClient(create_app(bench.parts), base_url=f"http://{HOST}", headers=AUTHORIZED) as client:
        yield client


@pytest.fixture
def quiz(tmp_path: Path) -> Path:
    path = tmp_path / "quiz.csv"
    path.write_text("question,a,b,answer\nIs it ice?,ice,fire,a\nIs it snow?,fire,snow,b\nIs it fire?,ice,sand,9\n")
    return path


def done(client: TestClient, route: str, body: dict[str, Any]) -> dict[str, Any]:
    response = client.post(route, json=body)
    assert response.status_code == 200, response.text
    events = parse_events(response.text)
    assert "progress" in {name for name, _ in events}
    name, data = events[-1]
    assert name == "done"
    return data


def test_multiple_choice_is_measured_and_what_was_left_out_is_listed(
    client: TestClient, bench: Bench, quiz: Path
) -> None:
    report = done(client, "/api/eval/mc", {"path": str(quiz), "format": "csv"})
    assert (report["acc"], report["n"], report["shots"]) == (1.0, 2, 0)
    assert report["skipped"] == [{"row": 3, "why": "its answer is none of the choices"}]
    assert {call.turn.priority for call in bench.engine.calls if call.what == "continuations"} == {Priority.eval}


@pytest.mark.parametrize("wishes", [{}, {"rerank": "judge", "rewrite": "hyde"}])
def test_an_evaluation_of_the_whole_gives_way_to_whoever_asks(tmp_path: Path, wishes: dict[str, str]) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "a.txt").write_text("the rate was 42 percent\n")
    questions = tmp_path / "questions.jsonl"
    questions.write_text(json.dumps({"question": "what was the rate?", "answer": "42"}) + "\n")
    bench = Bench(answer=ask)
    with TestClient(create_app(bench.parts), base_url=f"http://{HOST}", headers=AUTHORIZED) as client:
        report = done(client, "/api/eval/rag", {"path": str(questions), "roots": [str(root)], **wishes})
    assert report["n"] == 1
    assert {"judge", "generate"} <= {call.what for call in bench.engine.calls}
    assert {call.turn.priority for call in bench.engine.calls} == {Priority.eval}


def test_responses_are_judged(client: TestClient, tmp_path: Path) -> None:
    path = tmp_path / "answers.json"
    path.write_text(json.dumps([{"instruction": "Say yes.", "output": "yes", "said": "yes"}] * 3))
    report = done(client, "/api/eval/judge", {"path": str(path), "response": "said", "reference": "output"})
    assert (report["n"], report["missing"], len(report["scores"])) == (3, 0, 3)
    assert done(client, "/api/eval/judge", {"path": str(path), "response": "said", "limit": 1})["n"] == 1


@pytest.mark.parametrize(
    ("body", "status", "why"),
    [
        ({"path": "quiz.csv", "format": "csv"}, 400, "relative"),
        ({"path": "/no/quiz.csv", "format": "csv"}, 404, "cannot be read"),
        ({"path": "/no/quiz.csv", "format": "quiz"}, 400, ""),
        ({"path": "/no/quiz.csv", "format": "csv", "shots": -1}, 400, "shots"),
        ({"path": "/no/quiz.csv", "format": "csv", "limit": -1}, 400, "limit"),
        ({"path": "/no/a\0.csv", "format": "csv"}, 400, ""),
    ],
)
def test_what_cannot_be_measured_is_refused(client: TestClient, body: dict[str, Any], status: int, why: str) -> None:
    response = client.post("/api/eval/mc", json=body)
    assert response.status_code == status, response.text
    assert why in response.json()["error"]["message"]
    assert response.json()["error"]["hint"]
