import json
import os

import pytest

from fake_app import Bench, client_of, parse_events
from lorebook_api.asking import Answer
from lorebook_api.errors import Conflict, EngineDied
from lorebook_api.retrieval import SearchResponse
from lorebook_api.state import Status
from lorebook_daemon.answer.ask import ask
from lorebook_daemon.engine.protocol import Priority, Turn


@pytest.fixture
def client(bench):
    with client_of(bench, raise_server_exceptions=False) as client:
        yield client


def events_of(client, path, body):
    response = client.post(path, json=body)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    return parse_events(response.text)


def test_ask_sends_sources_then_tokens_then_the_answer(client, notes):
    events = events_of(
        client, "/api/ask", {"question": "what was the rate?", "roots": [str(notes)], "request_id": "q1"}
    )
    names = [name for name, _ in events if name != "progress"]
    assert names[0] == "sources"
    assert names[-1] == "answer"
    assert set(names[1:-1]) == {"token"}
    sources = next(data for name, data in events if name == "sources")["sources"]
    assert sources[0]["path"] == "a.txt"
    answer = events[-1][1]
    assert answer["request_id"] == "q1"
    assert answer["answer"] == "the rate was 42 percent"
    assert answer["retrieval"] == "hybrid"
    assert answer["notices"] == [f"Indexed {notes}: 2 files."]
    assert answer["timings"]["total_ms"] > 0
    assert answer.keys() == {field for field in Answer.__dataclass_fields__}


def test_the_real_way_of_answering_fits(notes):
    bench = Bench(answer=ask)
    with client_of(bench, raise_server_exceptions=False) as client:
        events = events_of(client, "/api/ask", {"question": "what was the rate?", "roots": [str(notes)]})
    assert events[-1][0] == "answer", events[-1]
    assert next(data for name, data in events if name == "sources")["sources"][0]["path"] == "a.txt"
    assert events[-1][1]["request_id"]


def test_the_engine_is_told_who_asks_at_every_step(notes):
    bench = Bench(answer=ask)
    with client_of(bench, raise_server_exceptions=False) as client:
        for user in ("ann", ""):
            events = events_of(client, "/api/ask", {"question": "the rate was?", "roots": [str(notes)], "user": user})
            assert events[-1][1]["answer"].startswith("the rate was 42 percent")
            turns = {(call.what, call.turn) for call in bench.engine.calls}
            assert turns == {(what, Turn(Priority.ask, user)) for what in ("judge", "generate")}
            bench.engine.calls.clear()


def test_ask_names_the_id_by_which_it_can_be_cancelled(client, notes):
    response = client.post("/api/ask", json={"question": "rate?", "roots": [str(notes)]})
    assert len(response.headers["x-request-id"]) == 32
    assert parse_events(response.text)[-1][1]["request_id"] == response.headers["x-request-id"]


def test_without_grounding_no_root_is_needed_and_none_is_read(bench, client):
    async def alone(request, retriever, engine, emit, settings):
        return Answer("from the model alone", False, 0.0, (), (), (), engine.model)

    bench = Bench(answer=alone)
    with client_of(bench, raise_server_exceptions=False) as client:
        events = events_of(client, "/api/ask", {"question": "hello?", "grounding": False})
    assert events[-1][1]["answer"] == "from the model alone"
    assert bench.indexes.runs == []


def test_auto_is_the_model_of_the_settings(bench, client, notes):
    for model in ("auto", "auto", "other"):
        client.post("/api/ask", json={"question": "rate?", "roots": [str(notes)], "model": model})
    assert bench.loads == ["tiny", "other"]
    assert bench.engine.closed  # the first made room for the second


def test_served_roots_stand_in_where_a_request_names_none(notes):
    bench = Bench(served=(notes,))
    with client_of(bench, raise_server_exceptions=False) as client:
        assert client.post("/api/search", json={"query": "rate"}).json()["results"][0]["path"] == "a.txt"


def test_an_unknown_model_is_404_before_anything_is_streamed(client, notes, bench):
    bench.indexes.committed[notes] = {}
    response = client.post("/api/ask", json={"question": "q", "grounding": False, "model": "missing"})
    assert response.status_code == 404
    assert response.json()["error"]["hint"] == "See `lorebook models list`."


def test_an_engine_that_dies_is_told_in_the_stream(notes):
    async def dying(request, retriever, engine, emit, settings):
        await emit("token", {"text": "half"})
        raise EngineDied("The engine's process ended.", "Ask again.")

    bench = Bench(answer=dying)
    with client_of(bench, raise_server_exceptions=False) as client:
        for _ in range(2):
            events = events_of(client, "/api/ask", {"question": "q", "roots": [str(notes)]})
            assert events[-1][1]["error"]["code"] == 502
    assert bench.parts.engines.depth == 0


BAD_ASKS = [
    {},
    {"question": None},
    {"question": 7},
    {"question": ""},
    {"question": " \n\t "},
    {"question": "a\0b"},
    {"question": "q", "k": 0},
    {"question": "q", "k": 101},
    {"question": "q", "k": "many"},
    {"question": "q", "max_tokens": 0},
    {"question": "q", "model": ""},
    {"question": "q", "request_id": "a\nb"},
    {"question": "q", "request_id": "x" * 201},
    {"question": "q", "request_id": "é"},
    {"question": "q", "sampling": {"temperature": -1}},
    {"question": "q", "sampling": {"top_p": 1.5}},
    {"question": "q", "sampling": {"stop": [""]}},
    {"question": "q", "sampling": {"stop": ["x"] * 65}},
    {"question": "q", "sampling": {"stop": ["x" * 257]}},
    {"question": "q", "sampling": {"stop": ["a\0"]}},
    {"question": "q", "sampling": {"top_k": 2**31}},
    {"question": "q", "sampling": {"presence_penalty": 2.1}},
    {"question": "q", "sampling": {"frequency_penalty": -2.1}},
    {"question": "q", "sampling": {"top_logprobs": 21}},
    {"question": "q", "sampling": {"top_logprobs": -1}},
    {"question": "q", "sampling": {"logit_bias": [[-1, 0.0]]}},
    {"question": "q", "sampling": {"logit_bias": [[2**31, 0.0]]}},
    {"question": "q", "sampling": {"logit_bias": [[0, 100.5]]}},
    {"question": "q", "sampling": {"logit_bias": [[0, 0.0]] * 1025}},
    {"question": "q", "sampling": {"grammar": " \n"}},
    {"question": "q", "sampling": {"grammar": "root ::= x" + "x" * 2**16}},
    {"question": "q", "user": "x" * 201},
    {"question": "q", "user": "é"},
    {"question": "q", "user": "a\tb"},
    {"question": "q", "adapters": [{"name": ""}]},
    {"question": "q", "roots": "no list"},
    {"question": "q", "roots": ["relative/path"]},
    {"question": "q", "roots": ["/a\0b"]},
    {"question": "q", "roots": [""]},
    {"question": "q", "roots": []},
    ["question"],
    "question",
]


@pytest.mark.parametrize("body", BAD_ASKS, ids=lambda body: json.dumps(body)[:60])
def test_a_bad_ask_is_400_in_one_line(client, body):
    response = client.post("/api/ask", json=body)
    assert response.status_code == 400, response.text
    error = response.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert error["message"]
    assert "\n" not in error["message"]


def test_an_ask_at_the_bounds_of_sampling_is_answered(client, bench):
    sampling = {
        "presence_penalty": -2,
        "frequency_penalty": 2,
        "top_logprobs": 20,
        "stop": ["x" * 256] * 64,
        "logit_bias": [[n, 100 if n % 2 else -100] for n in range(1024)],
        "grammar": "root ::= [a-z]+".ljust(2**16),
    }
    events = events_of(client, "/api/ask", {"question": "q?", "grounding": False, "sampling": sampling})
    assert events[-1][0] == "answer"
    (call,) = bench.engine.calls
    assert (call.sampling.top_logprobs, len(call.sampling.logit_bias)) == (20, 1024)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b'{"question": "\\ud800"}',
        b'{"question": "q", "sampling": {"temperature": NaN}, "grounding": false}',
        b'{"question": "q", "sampling": {"top_p": Infinity}, "grounding": false}',
        b'{"question": "q", "sampling": {"logit_bias": [[7, NaN]]}, "grounding": false}',
        b'{"question": "q", "adapters": [{"name": "a", "scale": NaN}], "grounding": false}',
        b'{"question": "\xff"}',
        b'{"request_id": "\\ud800", "question": "q"}',
    ],
)
@pytest.mark.parametrize("path", ["/api/ask"])
def test_what_is_no_json_or_no_text_is_400(client, path, content):
    response = client.post(path, content=content, headers={"Content-Type": "application/json"})
    assert response.status_code == 400, response.text
    assert response.json()["error"]["type"] == "invalid_request_error"


def test_a_form_from_a_web_page_is_no_json(client):
    response = client.post("/api/ask", content=b'{"question": "q"}', headers={"Content-Type": "text/plain"})
    assert response.status_code == 400


@pytest.mark.parametrize("path", ["/api/ask", "/api/search", "/api/index"])
def test_roots_that_are_not_there_or_no_folders(client, notes, path):
    text = {"question": "q", "query": "q"}
    gone = client.post(path, json={**text, "roots": [str(notes / "gone")]})
    assert (gone.status_code, gone.json()["error"]["type"]) == (404, "not_found_error")
    file = client.post(path, json={**text, "roots": [str(notes / "a.txt")]})
    assert (file.status_code, file.json()["error"]["hint"]) == (400, f"Name its folder: {notes}")
    long = client.post(path, json={**text, "roots": ["/" + "x" * 5000]})
    assert long.status_code == 404


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_loop_of_links_is_no_root(client, tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert client.post("/api/search", json={"query": "q", "roots": [str(tmp_path / "loop")]}).status_code == 404


def test_search_ranks_and_times(client, notes):
    body = client.post("/api/search", json={"query": "null rows dropped", "roots": [str(notes)], "k": 5}).json()
    assert body.keys() == {field for field in SearchResponse.__dataclass_fields__}
    (result,) = body["results"]
    assert (result["rank"], result["path"], result["start_line"], result["root"]) == (1, "b.txt", 1, str(notes))
    assert result["score"] == 1.0
    assert body["took_ms"] > 0
    assert body["retrieval"] == "hybrid"


def test_search_takes_only_known_kinds(client, notes):
    response = client.post("/api/search", json={"query": "q", "roots": [str(notes)], "kind": "poem"})
    assert response.status_code == 400
    assert "kind" in response.json()["error"]["message"]


def test_index_reports_each_root(client, notes, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    events = events_of(client, "/api/index", {"roots": [str(notes), str(other), str(notes)]})
    reports = [data for name, data in events if name == "report"]
    assert [(report["root"], report["files"]) for report in reports] == [(str(notes), 2), (str(other), 0)]
    assert events[-1] == ("done", {"roots": reports})
    assert events[0] == ("progress", {"what": "reading files", "done": 0, "total": 1})


def test_index_full_is_handed_on(bench, client, notes):
    for full in (True, False):
        events_of(client, "/api/index", {"roots": [str(notes)], "full": full})
    assert bench.indexes.runs == [(notes, True), (notes, False)]


def test_an_indexer_that_fails_is_told_in_the_stream(bench, client, notes):
    bench.indexes.fails = Conflict("It is being indexed by another process (pid 7).", "Wait.")
    events = events_of(client, "/api/index", {"roots": [str(notes)]})
    assert events[-1][1]["error"]["code"] == 409


def test_cancel_of_nothing_is_no_error(client):
    assert client.post("/api/cancel", json={"request_id": "gone"}).json() == {"cancelled": False}


def test_models(bench, client, tmp_path):
    assert client.get("/api/models").json()["models"][0]["name"] == "tiny"
    events = events_of(client, "/api/models/pull", {"name": "tiny"})
    assert [name for name, _ in events] == ["progress", "done"]
    assert events[-1][1]["installed"] is True
    assert client.post("/api/models/add", json={"path": str(tmp_path / "my.gguf")}).json()["name"] == "my"
    assert client.post("/api/models/add", json={"path": "my.gguf"}).status_code == 400
    assert client.delete("/api/models/user%2Fmine%3A7b").json() == {"removed": "user/mine:7b"}
    assert bench.models.removed == ["user/mine:7b"]
    assert events_of(client, "/api/models/pull", {"name": "missing"})[-1][1]["error"]["code"] == 404


def test_a_loaded_model_is_marked_and_ended_before_it_is_removed(bench, client, notes):
    client.post("/api/ask", json={"question": "rate?", "roots": [str(notes)]})
    assert client.get("/api/models").json()["models"][0]["loaded"] is True
    client.delete("/api/models/tiny")
    assert bench.engine.closed
    assert client.get("/api/models").json()["models"][0]["loaded"] is False


def test_status_says_what_there_is(bench, client, notes):
    before = client.get("/api/status").json()
    assert before.keys() == {field for field in Status.__dataclass_fields__}
    assert (before["model"], before["engine"], before["queue"], before["roots"]) == ("tiny", "none", 0, [])
    assert before["idle_stop_s"] == 3600
    client.post("/api/ask", json={"question": "rate?", "roots": [str(notes)], "model": "other"})
    after = client.get("/api/status").json()
    assert (after["model"], after["engine"]) == ("other", "ready")
    assert after["roots"][0]["passages"] == 2
    assert after["memory_mb"] > 1


def test_stop(bench, client):
    assert client.post("/api/stop").json() == {"stopping": True}
    assert bench.stopped == 1
