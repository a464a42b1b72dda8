"""Reranking and rewriting over HTTP: which model they load, what they change, what is refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

import fakes
from fake_app import Bench, client_of, parse_events
from lorebook_daemon.answer.ask import ask
from lorebook_daemon.engine.protocol import Priority, Turn
from lorebook_daemon.settings import Settings
from tiny_onnx import write_cross_encoder

HISTORY = [
    {"role": "user", "content": "what was the rate?"},
    {"role": "assistant", "content": "the rate was 42 percent"},
]


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    """A root where words alone put the wrong file first."""
    root = tmp_path / "pair"
    root.mkdir()
    (root / "a.txt").write_text("rows rows rows were")
    (root / "b.txt").write_text("rows were dropped for null age")
    return root


def searched(client: TestClient, root: Path, **wishes: Any) -> list[str]:
    body = {"query": "which rows were there", "roots": [str(root)], **wishes}
    response = client.post("/api/search", json=body)
    assert response.status_code == 200, response.text
    return [result["path"] for result in response.json()["results"]]


def test_a_plain_search_loads_no_model(bench: Bench, client: TestClient, pair: Path) -> None:
    assert searched(client, pair) == ["a.txt", "b.txt"]
    assert bench.loads == []


@pytest.mark.parametrize(("rerank", "what"), [("model", "likelihood"), ("judge", "judge")])
def test_a_search_is_reranked_by_the_daemons_own_model(
    bench: Bench, client: TestClient, pair: Path, rerank: str, what: str
) -> None:
    assert sorted(searched(client, pair, rerank=rerank)) == ["a.txt", "b.txt"]
    assert bench.loads == ["tiny"]
    assert {(call.what, call.turn.priority) for call in bench.engine.calls} == {(what, Priority.ask)}


def test_a_search_can_be_widened(bench: Bench, client: TestClient, pair: Path) -> None:
    bench.engine = fakes.FakeEngine(answer="null age")
    assert sorted(searched(client, pair, rewrite="hyde")) == ["a.txt", "b.txt"]
    assert [call.what for call in bench.engine.calls] == ["generate"]


def test_a_cross_encoder_needs_a_folder_and_no_model(client: TestClient, pair: Path, tmp_path: Path) -> None:
    response = client.post("/api/search", json={"query": "rows", "roots": [str(pair)], "rerank": "cross-encoder"})
    assert response.status_code == 400
    assert "LOREBOOK_CROSS_ENCODER" in response.json()["error"]["hint"]
    folder = write_cross_encoder(tmp_path / "tiny", {"dropped": 5.0})
    bench = Bench()
    bench.parts = dataclasses.replace(bench.parts, settings=Settings(model="tiny", cross_encoder=str(folder)))
    with client_of(bench) as other:
        assert searched(other, pair, rerank="cross-encoder") == ["b.txt", "a.txt"]
    assert bench.loads == []


@pytest.mark.parametrize("wish", [{"rerank": "magic"}, {"rewrite": "magic"}])
def test_what_nobody_knows_is_refused(client: TestClient, pair: Path, wish: dict[str, str]) -> None:
    for path, field in (("/api/search", "query"), ("/api/ask", "question")):
        response = client.post(path, json={field: "rows", "roots": [str(pair)], **wish})
        assert response.status_code in (400, 422)


def asked(client: TestClient, root: Path, question: str, **wishes: Any) -> dict[str, Any]:
    response = client.post("/api/ask", json={"question": question, "roots": [str(root)], **wishes})
    name, answer = parse_events(response.text)[-1]
    assert name == "answer", answer
    return dict(answer)


def test_a_follow_up_is_understood_by_its_history(pair: Path) -> None:
    bench = Bench(answer=ask)
    bench.engine = fakes.FakeEngine(answer="why were rows dropped")
    with client_of(bench) as client:
        answer = asked(client, pair, "why dropped?", history=HISTORY, user="ann")
    assert "Understood as: why were rows dropped" in answer["notices"]
    judged = [call for call in bench.engine.calls if call.what == "judge"]
    assert judged and "why were rows dropped" in fakes.asked(judged[0].prompts[0])
    assert {call.turn for call in bench.engine.calls} == {Turn(Priority.ask, "ann")}


def test_without_history_or_where_it_is_not_wished_nothing_is_rewritten(pair: Path) -> None:
    for wishes in ({}, {"history": HISTORY, "rewrite": "none"}):
        bench = Bench(answer=ask)
        with client_of(bench) as client:
            answer = asked(client, pair, "why dropped?", **wishes)
        assert not [notice for notice in answer["notices"] if "Understood" in notice]
        assert bench.engine.calls[0].what == "judge"


def test_an_answer_can_be_reranked(pair: Path) -> None:
    bench = Bench(answer=ask)
    with client_of(bench) as client:
        asked(client, pair, "which rows were there", rerank="model")
    assert bench.engine.calls[0].what == "likelihood"
