import logging

import pytest
from starlette.testclient import TestClient

from fake_app import AUTHORIZED, HOST, TOKEN
from lorebook_daemon.app.application import create_app
from lorebook_daemon.app.guard import BODY_LIMIT


@pytest.fixture
def client(bench):
    return TestClient(create_app(bench.parts), base_url=f"http://{HOST}", raise_server_exceptions=False)


def test_health_is_open(client):
    response = client.get("/health")
    assert response.status_code == 200
    assert response.json() == {"status": "ok", "version": "0.1.0"}


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer ", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}", TOKEN, "Bearer \xe9"],
)
@pytest.mark.parametrize(("method", "path"), [("GET", "/api/status"), ("POST", "/api/ask"), ("GET", "/nowhere")])
def test_everything_else_wants_the_token(client, method, path, authorization):
    headers = {} if authorization is None else {"Authorization": authorization.encode("latin-1")}
    response = client.request(method, path, headers=headers)
    assert response.status_code == 401
    assert response.json()["error"]["type"] == "authentication_error"
    assert TOKEN not in response.text


def test_the_right_token_passes(client):
    assert client.get("/api/status", headers=AUTHORIZED).status_code == 200
    assert client.get("/api/status", headers={"authorization": f"bearer {TOKEN}"}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:4321", "127.0.0.1", "127.0.0.1:9", "", "127.0.0.1.evil:4321"]
)
@pytest.mark.parametrize("path", ["/health", "/api/status"])
def test_a_foreign_host_is_refused_token_or_not(client, host, path):
    response = client.get(path, headers={**AUTHORIZED, "Host": host})
    assert response.status_code == 403
    assert response.json()["error"]["type"] == "permission_error"


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "", "http://localhost.evil.example", "http://[::1", "file://"]
)
def test_a_foreign_origin_is_refused(client, origin):
    assert client.get("/api/status", headers={**AUTHORIZED, "Origin": origin}).status_code == 403


@pytest.mark.parametrize("origin", ["http://localhost:8888", "http://127.0.0.1:8888", "https://[::1]:1"])
def test_a_page_of_this_machine_may_ask(client, origin):
    assert client.get("/api/status", headers={**AUTHORIZED, "Origin": origin}).status_code == 200


def test_a_body_above_the_limit_is_refused_told_or_not(client):
    def chunks():
        for _ in range(BODY_LIMIT // 65536 + 1):
            yield b"x" * 65536

    for content in (b"x" * (BODY_LIMIT + 1), chunks()):
        response = client.post("/api/search", content=content, headers=AUTHORIZED)
        assert response.status_code == 400
        assert "larger than" in response.json()["error"]["message"]


def test_the_log_has_one_line_a_request_and_no_secrets(client, caplog):
    caplog.set_level(logging.INFO, logger="lorebook_daemon")
    client.post("/api/search?q=hush", json={"query": "what is hushed"}, headers=AUTHORIZED)
    client.get("/a%0Ab", headers=AUTHORIZED)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 2
    assert lines[0].startswith("POST /api/search 400 ")
    assert lines[1].startswith("GET /a%0Ab 404 ")
    assert not any("hush" in line or TOKEN in line or "\n" in line for line in lines)


@pytest.mark.parametrize("path", ["/health", "/api/status"])
def test_who_only_looks_does_not_keep_the_daemon_up(bench, client, path):
    before = bench.parts.activity.idle_s
    assert client.get(path, headers=AUTHORIZED).status_code == 200
    assert bench.parts.activity.idle_s >= before
    idle = bench.parts.activity.idle_s
    client.get("/api/models", headers=AUTHORIZED)
    assert bench.parts.activity.idle_s < idle
