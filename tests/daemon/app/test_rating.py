"""Feedback over HTTP: kept where the settings say so, refused where they do not, forgotten in any case."""

import dataclasses

import pytest
from starlette.testclient import TestClient

from fake_app import AUTHORIZED, HOST, Bench
from lorebook_api.feedback import Feedback
from lorebook_api.home import find_home
from lorebook_daemon.app.application import create_app
from lorebook_daemon.app.opinions import Opinions
from lorebook_daemon.index.feedback import FeedbackStore

CITED = {
    "n": 1,
    "path": "a.txt",
    "start_line": 1,
    "end_line": 1,
    "quote": "the rate was 42 percent",
    "sha256": "0" * 64,
    "support": 0.9,
    "root": "/data",
}
THUMB = {"rating": "up", "question": "the rate?", "answer": "42 percent [1]", "citations": [CITED], "request_id": "r1"}


def client_of(mode):
    bench = Bench()
    parts = dataclasses.replace(bench.parts, opinions=Opinions(FeedbackStore(find_home().state), mode))
    return TestClient(create_app(parts), base_url=f"http://{HOST}", headers=AUTHORIZED)


def test_it_is_off_until_asked_for_and_says_how(home):
    with client_of("off") as client:
        assert client.get("/api/status").json()["feedback"] == "off"
        refused = client.post("/api/feedback", json=THUMB)
        assert refused.status_code == 409
        assert "LOREBOOK_FEEDBACK=keep" in refused.json()["error"]["hint"]
        assert client.get("/api/feedback").json() == {"mode": "off", "feedback": [], "weights": {}}
    assert not list(home.state.glob("feedback*"))


@pytest.mark.parametrize("mode", ["keep", "learn"])
def test_what_was_kept_is_told_and_forgotten(mode):
    with client_of(mode) as client:
        assert client.get("/api/status").json()["feedback"] == mode
        kept = client.post("/api/feedback", json=THUMB).json()
        assert kept["feedback"]["answer"] == THUMB["answer"] and kept["feedback"]["citations"][0]["quote"] == ""
        edited = THUMB | {"rating": "edited", "edited": "43 percent"}
        assert client.post("/api/feedback", json=edited).status_code == 200
        told = client.get("/api/feedback").json()
        assert [one["feedback"]["rating"] for one in told["feedback"]] == ["edited", "up"]
        assert client.delete(f"/api/feedback/{kept['id']}").json() == {"forgotten": 1}
        assert client.delete(f"/api/feedback/{kept['id']}").status_code == 404
    with client_of("off") as client:
        assert len(client.get("/api/feedback").json()["feedback"]) == 1, "turned off, what there is can be looked at"
        assert client.delete("/api/feedback").json() == {"forgotten": 1}
        assert client.get("/api/feedback").json()["feedback"] == []


BAD = [
    {},
    {"rating": "great"},
    {"question": " "},
    {"question": "a\0b"},
    {"answer": ""},
    {"rating": "edited"},
    {"rating": "edited", "edited": "\n"},
    {"rating": "opened", "citations": []},
    {"rating": "opened", "citations": [CITED, CITED]},
    {"citations": [CITED] * 101},
    {"citations": [{"path": "a.txt"}]},
    {"request_id": "a\nb"},
]


@pytest.mark.parametrize("change", BAD)
def test_half_of_it_is_refused(change, home):
    body = THUMB | change if change else {}
    with client_of("keep") as client:
        assert client.post("/api/feedback", json=body).status_code in (400, 422), body
        assert client.get("/api/feedback").json()["feedback"] == []


def test_opening_a_citation_needs_no_answer():
    with client_of("keep") as client:
        opened = {"rating": "opened", "question": "the rate?", "citations": [CITED]}
        assert client.post("/api/feedback", json=opened).status_code == 200
    assert FeedbackStore(find_home().state).all()[0].feedback.rating == "opened"


def test_an_answer_that_was_shown_beside_another_is_kept_with_it():
    with client_of("keep") as client:
        client.post("/api/feedback", json=THUMB | {"other": "I did not find it."})
    kept = FeedbackStore(find_home().state).all()[0].feedback
    assert isinstance(kept, Feedback) and kept.other == "I did not find it."
