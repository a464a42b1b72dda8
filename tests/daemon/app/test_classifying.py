"""Texts told apart over HTTP: by the hidden states of the engine and the classes beside the adapter."""

from __future__ import annotations

import json

import numpy as np
import pytest

import tiny_models
from lorebook_api.asking import AdapterUse
from lorebook_api.home import Home
from lorebook_daemon.models.adapters import import_adapter, peft_folder
from lorebook_daemon.models.classes import HEAD, TASK, Head, read_head, write_head

# The fake engine's hidden state is the number of a text's words, and whether the first is "bad".
CLASSES = Head(("bad", "good"), np.array([[0.0, 4.0], [0.0, -4.0]], np.float32), np.array([-2, 2], np.float32))


@pytest.fixture
def classifier(home: Home, tmp_path) -> str:
    base = tiny_models.tiny_llama(tmp_path / "base.gguf")
    adapter = tmp_path / "told.gguf"
    tiny_models.tiny_adapter(adapter, base, task=TASK)
    import_adapter(adapter, home)
    write_head(peft_folder(home, "told") / HEAD, CLASSES)
    return "told"


def test_each_text_is_given_its_class(client, bench, classifier) -> None:
    texts = ["bad weather", "fine weather", "bad"]
    response = client.post("/api/classify", json={"texts": texts, "classifier": classifier})
    assert response.status_code == 200, response.text
    report = response.json()
    assert [one["label"] for one in report["results"]] == ["bad", "good", "bad"]
    assert report["classes"] == ["bad", "good"]
    assert all(abs(sum(one["probabilities"]) - 1) < 1e-5 for one in report["results"])
    (call,) = [call for call in bench.engine.calls if call.what == "hidden"]
    assert call.adapters == (AdapterUse("told"),)


def test_the_only_classifier_need_not_be_named_and_several_are(client, home, tmp_path) -> None:
    assert client.post("/api/classify", json={"texts": ["bad"]}).status_code == 404
    base = tiny_models.tiny_llama(tmp_path / "base.gguf")
    for name, task in (("plain", ""), ("told", TASK)):
        import_adapter(tiny_models.tiny_adapter(tmp_path / f"{name}.gguf", base, task=task), home)
    write_head(peft_folder(home, "told") / HEAD, CLASSES)
    report = client.post("/api/classify", json={"texts": ["bad"]}).json()
    assert report["classifier"] == "told" and report["results"][0]["label"] == "bad"
    import_adapter(tmp_path / "told.gguf", home, "other")
    refused = client.post("/api/classify", json={"texts": ["bad"]})
    assert refused.status_code == 400 and "2 classifiers: other, told" in refused.json()["error"]["message"]


def test_what_is_no_classifier_is_refused(client, home, tmp_path) -> None:
    base = tiny_models.tiny_llama(tmp_path / "base.gguf")
    tiny_models.tiny_adapter(tmp_path / "plain.gguf", base)
    import_adapter(tmp_path / "plain.gguf", home)
    response = client.post("/api/classify", json={"texts": ["a"], "classifier": "plain"})
    assert response.status_code == 400 and "plain is no classifier" in response.text
    assert "--method classifier" in json.dumps(response.json())


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"texts": [], "classifier": "told"}, 400),
        ({"texts": ["x", " "], "classifier": "told"}, 400),
        ({"texts": ["x"], "classifier": "none"}, 404),
        ({"texts": ["x"] * 3000, "classifier": "told"}, 400),
    ],
)
def test_what_cannot_be_told_apart_is_refused(client, classifier, body, status) -> None:
    assert client.post("/api/classify", json=body).status_code == status


def test_damaged_classes_are_told(client, home, classifier) -> None:
    (peft_folder(home, classifier) / HEAD).write_bytes(b"PK no archive")
    response = client.post("/api/classify", json={"texts": ["a"], "classifier": classifier})
    assert response.status_code == 422 and "no classes that can be read" in response.text


def test_classes_are_read_as_they_were_written(tmp_path) -> None:
    write_head(tmp_path / "below" / HEAD, CLASSES)
    head = read_head(tmp_path / "below" / HEAD)
    assert head.classes == CLASSES.classes and np.array_equal(head.weight, CLASSES.weight)
