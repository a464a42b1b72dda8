"""From the browser through a real Jupyter Server to a daemon and back."""

import json
from contextlib import closing

import httpx
import pytest

from fake_daemon import TOKEN, TOKENS
from lorebook_api.errors import TooLong
from lorebook_api.sse import EventParser


def events_of(response):
    parser = EventParser()
    for chunk in response.iter_bytes():
        yield from parser.feed(chunk)


def test_get_post_and_delete_reach_the_daemon(jupyter, daemon):
    with jupyter.open() as http:
        assert http.get("api/status").json()["model"] == "echo-1b"
        assert http.post("api/search", json={"query": "né"}).json()["results"][0]["path"] == "src/fare.py"
        assert http.delete("api/models/echo-1b").json() == {"removed": "echo-1b"}
        assert http.get("health").json()["status"] == "ok"
    calls = [call for call in daemon.calls if call.path != "/health"]
    assert [(call.method, call.path, call.body) for call in calls] == [
        ("GET", "/api/status", None),
        ("POST", "/api/search", {"query": "né"}),
        ("DELETE", "/api/models/echo-1b", None),
    ]
    assert {call.authorization for call in calls} == {f"Bearer {TOKEN}"}


def test_events_arrive_before_the_last_is_sent(jupyter, daemon):
    daemon.scripts.ask = [("token", {"text": "first"}), 30.0, ("token", {"text": "never"})]
    with jupyter.open() as http, http.stream("POST", "api/ask", json={}) as response:
        events = events_of(response)
        assert json.loads(next(events).data) == {"text": "first"}
        http.post("api/cancel", json={"request_id": "x"})  # the daemon is still at its pause
        last = list(events)
    assert [event.name for event in last] == ["error"]
    assert json.loads(last[0].data)["error"]["type"] == "cancelled"


def test_a_whole_answer_comes_through_in_order(jupyter, daemon):
    with jupyter.open() as http, http.stream("POST", "api/ask", json={}) as response:
        assert response.headers["content-type"] == "text/event-stream"
        events = list(events_of(response))
    assert [json.loads(event.data)["text"] for event in events if event.name == "token"] == list(TOKENS)
    assert events[-1].name == "answer"


@pytest.mark.parametrize("begun", [False, True])
def test_a_hang_up_reaches_the_daemon(jupyter, raw_daemon, begun):
    def answer(handler):
        if begun:
            handler.say(200, EVENTS, chunk(b": ping\n\n"))
        raw_daemon.arrived.set()
        handler.wait_for_hang_up()

    raw_daemon.answer = answer
    with jupyter.open() as http, closing(http):
        if begun:
            with http.stream("POST", "api/ask", json={}) as response:
                next(response.iter_bytes())
        else:
            with pytest.raises(httpx.ReadTimeout):
                http.post("api/ask", json={}, timeout=0.3)
            assert raw_daemon.arrived.is_set()
    assert raw_daemon.hung_up.wait(2)  # sooner than silence would end it
    with jupyter.open() as http:
        raw_daemon.answer = lambda handler: handler.say(200, {"content-length": "2"}, b"{}")
        assert http.get("api/status").json() == {}


def test_the_daemons_errors_keep_status_and_body(jupyter, daemon):
    daemon.scripts.error = TooLong("The question is too long.", "Ask a shorter one.")
    with jupyter.open() as http:
        response = http.post("api/ask", json={})
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/json"
    assert response.json() == daemon.scripts.error.body()


@pytest.mark.usefixtures("dead_daemon")
def test_no_daemon_is_a_503_with_the_next_step(jupyter):
    with jupyter.open() as http:
        response = http.get("api/status")
    assert response.status_code == 503
    error = response.json()["error"]
    assert (error["code"], error["type"]) == (503, "unavailable_error")
    assert "lorebook serve" in error["hint"]


def test_who_only_looks_starts_no_daemon_and_gets_no_error(jupyter, daemon):
    quiet = {"X-Lorebook-Start": "no"}
    with jupyter.open(**quiet) as http:
        assert http.get("api/status").json()["model"] == "echo-1b"
        daemon.end()
        response = http.get("api/status")
    assert (response.status_code, response.content) == (204, b"")


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_without_jupyters_login_nothing_passes(jupyter, daemon, method):
    with httpx.Client(base_url=jupyter.url, trust_env=False) as page:
        page.get("login")  # brings the cookie that a page of Jupyter's has: what is missing is the login alone
        told = page.request(method, "lorebook/api/status", headers={"X-XSRFToken": page.cookies["_xsrf"]})
    assert told.status_code == 403  # as all of Jupyter's own routes answer
    assert told.json()["error"]["type"] == "permission_error"
    assert not daemon.calls


def test_the_daemons_token_is_no_login(jupyter, daemon):
    with jupyter.open(Authorization=f"Bearer {TOKEN}") as http:
        assert http.get("api/status").status_code == 403
    assert not daemon.calls


def test_a_page_must_send_the_xsrf_token(jupyter, daemon):
    with httpx.Client(base_url=jupyter.url, trust_env=False, follow_redirects=True) as page:
        page.get("login", params={"token": "jupyters-own-token"})
        assert page.post("lorebook/api/search", json={}).status_code == 403
        assert not daemon.calls
        token = page.cookies["_xsrf"]
        assert page.post("lorebook/api/search", json={}, headers={"X-XSRFToken": token}).status_code == 200


def test_only_what_the_daemon_needs_goes_to_it(jupyter, raw_daemon):
    sent = {"Cookie": "a=b", "Origin": jupyter.url.removesuffix("/user/ada/"), "X-Secret": "s", "Last-Event-ID": "7"}
    with jupyter.open(**sent) as http:
        http.post("api/x%2Fy?k=1&token=jupyters-own-token&_xsrf=z&q=a+b%26c", json={})
    request = raw_daemon.seen[0]
    assert request.path == "/api/x%2Fy?k=1&q=a+b%26c"
    assert "jupyters-own-token" not in str(request.headers)
    names = {name.lower() for name in request.headers}
    assert names <= {
        *("host", "authorization", "accept", "accept-encoding", "connection", "user-agent"),
        *("content-type", "content-length", "last-event-id"),
    }
    assert request.headers["last-event-id"] == "7"


def test_nothing_of_the_daemons_login_goes_to_the_browser(jupyter, raw_daemon):
    kept = {"set-cookie": "a=b", "www-authenticate": "Bearer", "connection": "x-hop", "x-hop": "1", "keep-alive": "5"}
    raw_daemon.answer = lambda handler: handler.say(
        201, kept | {"x-request-id": "r1", "content-type": "text/plain", "content-length": "2"}, b"ok"
    )
    with jupyter.open() as http:
        response = http.get("api/status")
    assert (response.status_code, response.text, response.headers["x-request-id"]) == (201, "ok", "r1")
    assert response.headers["content-type"] == "text/plain"
    assert not {"www-authenticate", "x-hop", "keep-alive"} & set(response.headers)
    assert "a=b" not in response.headers.get("set-cookie", "")  # Jupyter sets its own
    assert "a-token" not in str(response.headers.multi_items())


def test_the_token_is_in_no_log(jupyter, daemon):
    with jupyter.open() as http:
        http.get("api/status")
        http.get("api/nothing")
    daemon.end()
    with jupyter.open() as http:
        http.get("api/status")
    log = jupyter.read_log()
    assert "no daemon is running" in log
    assert TOKEN not in log


def test_a_daemon_that_refuses_our_token_is_no_reason_to_log_in(jupyter, raw_daemon):
    raw_daemon.answer = lambda handler: handler.say(401, {"content-length": "0"}, b"")
    with jupyter.open() as http:
        response = http.get("api/status")
    assert response.status_code == 503
    assert response.json()["error"]["type"] == "unavailable_error"


@pytest.mark.parametrize(
    "path",
    ["", "apifoo", "docs", "%61pi/status", "api/../docs", "api/%2e%2e/docs", "api/x%2F..%2F..", "api/..%5Cx", "v2"],
)
def test_other_paths_are_not_forwarded(jupyter, daemon, path):
    with jupyter.open() as http:
        # Spelled out: httpx resolves the dots of a relative address itself.
        raw = httpx.URL(jupyter.url).copy_with(raw_path=f"/user/ada/lorebook/{path}".encode())
        response = http.send(http.build_request("GET", raw))
    assert response.status_code == 404
    assert response.json()["error"]["type"] == "not_found_error"
    assert not [call for call in daemon.calls if call.path != "/health"]


def test_other_methods_are_refused_in_our_shape(jupyter, daemon):
    with jupyter.open() as http:
        response = http.put("api/status")
    assert response.status_code == 405
    assert response.json()["error"]["code"] == 405


EVENTS = {"content-type": "text/event-stream", "transfer-encoding": "chunked"}


def chunk(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


def test_a_stream_that_breaks_off_ends_with_an_error(jupyter, raw_daemon):
    raw_daemon.answer = lambda handler: handler.say(200, EVENTS, chunk(b"event: token\ndata: {}\n\n"))
    with jupyter.open() as http, http.stream("POST", "api/ask", json={}) as response:
        events = list(events_of(response))
    assert [event.name for event in events] == ["token", "error"]
    assert json.loads(events[1].data)["error"]["code"] == 503


def test_a_stream_that_falls_silent_ends_with_an_error(jupyter, raw_daemon):
    def answer(handler):
        handler.say(200, EVENTS, chunk(b": ping\n\n"))
        handler.wait_for_hang_up()

    raw_daemon.answer = answer
    with jupyter.open() as http, http.stream("POST", "api/ask", json={}) as response:
        (event,) = events_of(response)
    assert "silent" in json.loads(event.data)["error"]["message"]
    assert raw_daemon.hung_up.wait(5)


@pytest.mark.parametrize(
    ("head", "torn"),
    [
        (EVENTS, chunk(b'event: token\ndata: {"te')),
        ({"content-type": "application/json", "content-length": "1000"}, b'{"results": []}'),
    ],
)
def test_what_is_torn_is_not_ended_as_if_it_were_whole(jupyter, raw_daemon, head, torn):
    raw_daemon.answer = lambda handler: handler.say(200, head, torn)
    with jupyter.open() as http, pytest.raises(httpx.TransportError), http.stream("GET", "api/x") as response:
        response.read()


def test_an_answer_without_a_body_has_none(jupyter, raw_daemon):
    raw_daemon.answer = lambda handler: handler.say(204, {}, b"")
    with jupyter.open() as http:
        response = http.delete("api/x")
    assert (response.status_code, response.content) == (204, b"")
