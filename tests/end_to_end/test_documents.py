"""What the commands print with `--json`, about samples/ and with the real small model: its form, not its wisdom."""

from __future__ import annotations

import json

import pytest

from end_to_end.contract import check_answer, check_index, check_search
from end_to_end.person import SAMPLES

pytestmark = [pytest.mark.model, pytest.mark.daemon, pytest.mark.timeout(300)]

WHY = "Why was the Hampel filter given up?"


def test_an_index_is_one_document_and_its_second_run_changes_nothing(resident):
    first = resident.type("index", str(SAMPLES), "--full", "--json")
    second = resident.type("index", str(SAMPLES), "--json").document()
    check_index(first.document(), [SAMPLES])
    check_index(second, [SAMPLES])
    (report,) = second["roots"]
    assert report["files"] > 15 and report["passages"] > 100
    assert (report["added"], report["changed"], report["removed"]) == (0, 0, 0)
    assert "\x1b" not in first.out + first.err


@pytest.mark.parametrize("kind", ["", "code", "notebook", "doc", "data"])
def test_a_search_is_one_document_whose_passages_stand_on_disk(resident, kind):
    words = ("--kind", kind) if kind else ()
    found = resident.type("search", "pressure in millibar", "--root", str(SAMPLES), "-k", "7", "--json", *words)
    body = found.document()
    check_search(body, [SAMPLES])
    assert len(body["results"]) == 7
    kinds = {result["kind"] for result in body["results"]}
    assert kinds == {kind} if kind else len(kinds) > 1
    assert body["retrieval"] == "hybrid" and not body["notices"]


@pytest.mark.parametrize("question", [WHY, "Which cell of the notebooks fits the rain model?"])
def test_an_answer_is_one_document_whose_quotes_stand_on_disk(resident, convinced, question):
    words = ("--root", str(SAMPLES), "--model", str(convinced), "-k", "3", "--max-tokens", "40", "--json")
    body = resident.type("ask", question, *words).document()
    check_answer(body, [SAMPLES])
    assert not body["abstained"] and body["citations"] and body["grounded"] > 0.5
    assert 1 <= len(body["sources"]) <= 3 and body["usage"]["completion_tokens"] <= 40
    assert body["model"] == "convinced" and body["adapters"] == []


def test_an_abstention_is_one_document_with_the_nearest_passages(resident):
    body = resident.type("ask", WHY, "--root", str(SAMPLES), "-k", "2", "--json").document()
    check_answer(body, [SAMPLES])
    assert 1 <= len(body["sources"]) <= 2 and body["model"] == "smollm2-135m-instruct-q4_1"
    assert body["abstained"], "the small model never finds an answer, see convinced.py"


def test_an_answer_of_the_model_alone_cites_nothing(resident):
    body = resident.type("ask", "What is a well?", "--no-grounding", "--max-tokens", "20", "--json").document()
    check_answer(body, [])
    assert body["answer"] and not body["abstained"]
    assert body["sources"] == body["citations"] == [] and body["retrieval"] == "none"


def test_an_answer_for_people_has_its_places_and_nothing_else_on_stdout(resident, convinced):
    said = resident.type("ask", WHY, "--root", str(SAMPLES), "--model", str(convinced), "-k", "2", "--max-tokens", "40")
    assert "\x1b" not in said.out + said.err
    assert "reading passages" in said.err and "reading passages" not in said.out
    assert "\n[1] " in said.out and said.out.splitlines()[-1].startswith("convinced · ")


@pytest.mark.parametrize(
    ("words", "type_"),
    [
        (("ask", "what?", "--root", "gone"), "not_found_error"),
        (("ask", "what?", "--root", str(SAMPLES / "README.md")), "invalid_request_error"),
        (("ask", "what?", "--model", "no-such-model"), "not_found_error"),
        (("ask", "word " * 5000, "--root", str(SAMPLES)), "exceeds_context_size_error"),
        (("search", "what?", "--root", "gone"), "not_found_error"),
        (("index", "gone"), "not_found_error"),
    ],
)
def test_an_error_is_one_document_on_stdout_and_one_line_on_stderr(resident, words, type_):
    said = resident.type(*words, "--json", code=1)
    error = said.document()["error"]
    assert error["type"] == type_ and error["message"] and error["hint"]
    assert said.complaint() == " ".join(f"{error['message']} {error['hint']}".split())


def test_wrong_usage_is_another_exit_status(resident):
    for words in (("ask",), ("ask", "what?", "-k", "0"), ("serch", "what?"), ("index", "--watch", "--json")):
        said = resident.type(*words, code=2)
        assert not said.out and "Usage: lorebook" in said.err


def test_status_is_one_document(resident):
    body = json.loads(resident.type("status", "--json").out)
    assert body["pid"] == resident.daemon().pid and str(SAMPLES) in {root["root"] for root in body["roots"]}
