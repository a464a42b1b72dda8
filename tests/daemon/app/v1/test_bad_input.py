"""What nobody should send: a true status, a hint, and an engine that was not asked."""

import json

import pytest
from starlette.testclient import TestClient

from fake_app import AUTHORIZED, HOST, Bench
from lorebook_daemon.app.application import create_app

CHAT = {"messages": [{"role": "user", "content": "hello"}]}
COMPLETION = {"prompt": "hello"}


@pytest.fixture
def client(bench):
    with TestClient(
        create_app(bench.parts), base_url=f"http://{HOST}", headers=AUTHORIZED, raise_server_exceptions=False
    ) as client:
        yield client


def refused(client, bench, path, body, status=400):
    """Send a body and return the error's message; the engine must neither be asked nor loaded for it."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = client.post(path, content=content)
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert error.keys() == {"code", "message", "type", "hint"}
    assert (error["code"], bool(error["hint"])) == (status, True)
    assert "\n" not in error["message"]
    assert bench.engine.calls == []
    assert bench.loads == []
    return error["message"]


MALFORMED = [
    b"",
    b"{",
    b"hello",
    b"[]",
    b"null",
    b'{"messages": }',
    b'{"prompt": "\xff\xfe", "messages": []}',
    b'{"prompt": "\\ud800", "messages": [{"role": "user", "content": "\\ud800"}]}',
    b'{"temperature": NaN}',
    b'{"temperature": Infinity, "prompt": "a"}',
    b'{"temperature": -Infinity}',
    b'{"seed": 1' + b"0" * 5000 + b"}",
    b'{"grammar": ' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    b"\xef\xbb\xbf{}",
]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions", "/v1/embeddings"])
def test_what_is_no_json_object_is_refused(client, bench, path):
    for body in MALFORMED:
        assert "JSON" in refused(client, bench, path, body) or body in (b"[]", b"null")


NUMBERS = {
    "temperature": [-0.1, 101, 1e308, "1", True, [1]],
    "top_p": [-0.1, 1.1],
    "min_p": [-0.1, 2],
    "top_k": [-2, 1.5, 2**31],
    "repeat_penalty": [0, -1],
    "presence_penalty": [-2.1, 2.1],
    "frequency_penalty": [-3, 1e308],
    "n": [0, -1, 33, 1.0, "2"],
    "seed": [-2, 2**63, 0.5],
    "max_tokens": [-1, 2**31, 1e30, "many"],
    "logit_bias": [
        {"a": 1},
        {"-1": 1},
        {"1": 101},
        {"1": "x"},
        {"a\nb": 1},
        [[1, 2]],
        {str(i): 1 for i in range(1025)},
    ],
    "stop": [7, [7], "", [""], ["stop"] * 10_000, "x" * 501, "a\0b"],
    "stream": ["yes", 1],
    "stream_options": [{"include_usage": True}, {"unknown": 1}],
    "user": [7, "a\0b"],
    "model": [7, None, "", " ", "a\0b", "a\nb", "a" * 300 + ".gguf", "a/" * 3000],
    "lora": [{"id": 0}, [{"id": "a"}], [{"scale": 1}], [7]],
    "mirostat": [2],
    "typical_p": [0.5],
    "dry_multiplier": [0.8],
    "response_format": ["json", {"type": "xml"}, {"type": "json_schema"}, {"type": "text", "schema": {}}],
    "grammar": [7, "", "a\0b", "root ::= " + "(" * 1000 + '"a"' + ")" * 1000],
}
WRONG = [(name, value) for name, values in NUMBERS.items() for value in values]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
def test_a_wrong_value_is_named(client, bench, path):
    base = CHAT if "chat" in path else COMPLETION
    for name, value in WRONG:
        message = refused(client, bench, path, {**base, name: value})
        assert name in message or name.removesuffix("_options") in message, (name, value, message)


CONVERSATIONS = [
    {"messages": None},
    {"messages": []},
    {"messages": "hello"},
    {"messages": [{"content": "hello"}]},
    {"messages": [{"role": "function", "content": "hello"}]},
    {"messages": [{"role": "user", "content": 7}]},
    {"messages": [{"role": "user", "content": "a\0b"}]},
    {"messages": [{"role": "tool", "content": "2"}]},
    {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
    {"messages": [{"role": "user", "content": [{"text": "a"}]}]},
    {"messages": [{"role": "assistant", "tool_calls": [{"id": "a"}]}]},
    {"max_tokens": 0},
    {"max_completion_tokens": 0},
    {"logprobs": 2},
    {"top_logprobs": 2},
    {"logprobs": True, "top_logprobs": 21},
    {"modalities": ["audio"]},
    {"tools": {}},
    {"tool_choice": "always"},
    {"functions": []},
]


def test_a_wrong_conversation_is_refused(client, bench):
    for wrong in CONVERSATIONS:
        refused(client, bench, "/v1/chat/completions", {**CHAT, **wrong})


def test_images_are_refused_with_what_can_be_sent(client, bench):
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    body = {"messages": [{"role": "user", "content": [{"type": "text", "text": "what is this?"}, part]}]}
    response = client.post("/v1/chat/completions", json=body)
    assert (response.status_code, "image_url" in response.json()["error"]["message"]) == (400, True)
    assert "text" in response.json()["error"]["hint"]


def test_parameters_that_matter_and_are_unknown_are_named_together(client, bench):
    unknown = {"reasoning_effort": "high", "ignore_eos": True, "a\nb": 1}
    message = refused(client, bench, "/v1/chat/completions", {**CHAT, **unknown})
    assert message == "Not supported here: reasoning_effort, ignore_eos, a\\nb."


SCHEMAS = [
    "a string",
    {"type": "text"},
    {"type": 7},
    {"properties": ["a"]},
    {"required": "a"},
    {"$ref": "#/nowhere"},
    {"$ref": "https://example.org/a.json"},
    {"minLength": 10**12},
    {"maxLength": -1},
]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
def test_a_schema_that_is_none_is_refused(client, bench, path):
    base = CHAT if "chat" in path else COMPLETION
    for schema in SCHEMAS:
        form = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
        refused(client, bench, path, {**base, "response_format": form})


def test_strict_refuses_what_cannot_be_kept(client, bench):
    schema = {"type": "object", "properties": {"a": {"type": "integer", "minimum": 3}}}
    form = {"type": "json_schema", "json_schema": {"schema": schema, "strict": True}}
    assert "minimum" in refused(client, bench, "/v1/chat/completions", {**CHAT, "response_format": form})


def test_a_body_above_the_limit_is_refused(client, bench):
    refused(client, bench, "/v1/completions", {"prompt": "a" * (5 << 20)})


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/models"])
def test_the_token_is_wanted(bench: Bench, path):
    with TestClient(create_app(bench.parts), base_url=f"http://{HOST}") as stranger:
        response = stranger.get(path) if path.endswith("models") else stranger.post(path, json=CHAT)
    assert (response.status_code, response.json()["error"]["type"]) == (401, "authentication_error")


def test_after_all_that_it_answers(client):
    for body in MALFORMED:
        client.post("/v1/chat/completions", content=body)
    assert client.post("/v1/chat/completions", json=CHAT).status_code == 200
