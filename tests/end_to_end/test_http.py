"""The daemon's own door: who is let in, and an answer taken back over plain HTTP."""

from __future__ import annotations

import json
import time

import pytest

from end_to_end.person import until

pytestmark = [pytest.mark.model, pytest.mark.daemon, pytest.mark.timeout(300)]

STORY = {"question": "Write a very long story about a river.", "grounding": False, "max_tokens": 4000}


@pytest.fixture(scope="module")
def served(make_person):
    """A person whose daemon runs."""
    person = make_person()
    person.type("models", "list")
    return person


@pytest.mark.parametrize("route", ["GET /api/status", "GET /api/models", "POST /api/ask", "POST /api/stop"])
def test_the_token_opens_the_door_and_nothing_else_does(served, route):
    for authorization in ("", "Bearer", "Bearer wrong", f"Basic {served.daemon().token}"):
        with served.http(Authorization=authorization) as http:
            answer = http.request(*route.split(), json={})
        assert answer.status_code == 401 and answer.json()["error"]["type"] == "authentication_error"


@pytest.mark.parametrize("header", [{"Host": "evil.example"}, {"Origin": "https://evil.example"}])
def test_a_web_page_of_another_machine_is_refused(served, header):
    with served.http(**header) as http:
        answer = http.get("/api/status")
    assert answer.status_code == 403 and answer.json()["error"]["type"] == "permission_error"


def test_health_needs_no_token_and_tells_no_secret(served):
    with served.http(Authorization="") as http:
        answer = http.get("/health")
    assert answer.status_code == 200 and set(answer.json()) == {"status", "version"}


def test_the_runtime_file_is_the_user_s_alone(served):
    told = json.loads(served.home.daemon_file.read_text(encoding="utf-8"))
    assert set(told) == {"url", "token", "pid", "version", "started"}
    assert served.home.daemon_file.stat().st_mode & 0o077 in (0, 0o066)  # Windows knows no such bits


def test_an_answer_is_taken_back_while_it_is_made(served):
    with served.http() as http, http.stream("POST", "/api/ask", json={**STORY, "request_id": "story"}) as response:
        assert response.status_code == 200 and response.headers["x-request-id"] == "story"
        lines = response.iter_lines()
        tokens = (line for line in lines if line == "event: token")
        for _ in range(3):
            next(tokens)
        with served.http() as other:
            asked = time.monotonic()
            assert other.post("/api/cancel", json={"request_id": "story"}).json() == {"cancelled": True}
        rest = list(lines)
        assert time.monotonic() - asked < 2
    assert "event: error" in rest and "event: answer" not in rest
    error = json.loads(rest[rest.index("event: error") + 1].removeprefix("data: "))
    assert error["error"]["type"] == "cancelled"
    with served.http() as http:
        until(lambda: http.get("/api/status").json()["queue"] == 0, within_s=2)
        assert http.post("/api/cancel", json={"request_id": "story"}).json() == {"cancelled": False}


def test_a_client_that_hangs_up_frees_the_engine(served):
    with served.http() as http, http.stream("POST", "/api/ask", json=STORY) as response:
        next(line for line in response.iter_lines() if line == "event: token")
    with served.http() as http:
        until(lambda: http.get("/api/status").json()["queue"] == 0, within_s=2)
