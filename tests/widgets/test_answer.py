from dataclasses import asdict, replace
from pathlib import Path

import pytest

import fake_daemon
from fake_daemon import ABSTAINED, ANSWER, CITATION
from lorebook import Answer, SearchResults
from lorebook_api.asking import AskRequest, Context, Cut
from lorebook_api.retrieval import SearchRequest, SearchResponse
from rendered import render

REQUEST = AskRequest("why?", ("/data",))


def shown(body: object = ANSWER, request: AskRequest = REQUEST, folder: str = "/data/notes") -> dict[str, str]:
    return Answer(body, request, Path(folder))._repr_mimebundle_()  # type: ignore[arg-type]


def test_the_parts_of_an_answer() -> None:
    answer = Answer(ANSWER, REQUEST, Path("/data"))
    assert answer.text == str(answer) == ANSWER.answer
    assert (answer.citations, answer.claims, answer.sources) == (ANSWER.citations, ANSWER.claims, ANSWER.sources)
    assert (answer.grounded, answer.abstained) == (0.67, False)
    assert (answer.usage, answer.timings) == (ANSWER.usage, ANSWER.timings)
    assert answer.data == asdict(ANSWER)
    assert repr(answer) == shown()["text/plain"]


def test_as_text() -> None:
    assert shown()["text/plain"].splitlines() == [
        "index updated: 3 files changed",
        "Cell 5 drops them. [1] The fare is a function. [2] It rained.",
        "",
        "[1] clean.ipynb · cell 5 [In 7] lines 2-3 (support 0.97)",
        "    df = df.dropna()",
        "    len(df)",
        "[2] src/fare.py:10 (support 0.80)",
        "    def fare(km):",
        "? not supported: It rained.",
        "echo-1b · 2.3 s · 41 tokens · grounded 0.67",
    ]


def test_as_markdown_with_links_from_the_notebooks_folder() -> None:
    markdown = shown()["text/markdown"]
    cell, line = "(<../clean.ipynb#cell-id=c5>)", "(<../src/fare.py#L10>)"
    assert markdown.count(cell) == 2 and markdown.count(line) == 2  # the mark in the text, and the citation
    assert "```python\ndf = df.dropna()\nlen(df)\n```" in markdown
    assert "No passage supports" in markdown and "It rained" in markdown


def test_an_abstention_lists_the_nearest_passages() -> None:
    bundle = shown(ABSTAINED)
    assert "  clean.ipynb · cell 5 [In 7] lines 1-4" in bundle["text/plain"]
    assert "- [clean" in bundle["text/markdown"] and "supports" not in bundle["text/markdown"]


def test_several_roots_are_named_and_no_grounding_is_said() -> None:
    assert "/data/src/fare.py:10" in shown(request=replace(REQUEST, roots=("/data", "/b")))["text/plain"]
    text = shown(request=replace(REQUEST, grounding=False))["text/plain"]
    assert "not grounded" in text and "not supported" not in text


def test_what_was_cut_is_told() -> None:
    body = replace(ANSWER, context=Context(9, 8, (Cut("a.py", 1, 2, 9, "no room"),)))
    assert "1 passages left out" in shown(body)["text/plain"]


@pytest.mark.parametrize("field", ["answer", "quote", "path", "notice", "claim", "model"])
def test_text_of_files_is_never_html(field: str) -> None:
    evil = "</code></pre><img src=x onerror=alert(1)>\n```\n<script>"
    citation = replace(CITATION, **{field: evil}) if field in ("quote", "path") else CITATION
    body = replace(ANSWER, citations=(citation,))
    if field in ("answer", "model"):
        body = replace(body, **{field: evil})
    body = replace(body, notices=(evil,)) if field == "notice" else body
    body = replace(body, claims=(replace(ANSWER.claims[2], text=evil),)) if field == "claim" else body
    tags = {tag for tag, _ in render(shown(body)["text/markdown"]).tags}
    assert tags <= {"p", "a", "code", "pre", "strong", "em", "ul", "li", "small"}


def test_search_results_are_a_sequence() -> None:
    response = SearchResponse((fake_daemon.RESULT,) * 2, 3.2, notices=("by words only",))
    results = SearchResults(response, SearchRequest("x", ("/data",)), Path("/data"))
    assert len(results) == 2 and results[0] == fake_daemon.RESULT and results[0:1] == (fake_daemon.RESULT,)
    assert list(results) == list(response.results)
    assert results.data == asdict(response)
    bundle = results._repr_mimebundle_()
    assert bundle["text/plain"].splitlines()[:2] == ["by words only", " 1. src/fare.py:10-12  code 0.500"]
    assert "(<src/fare.py#L10>)" in bundle["text/markdown"]
    assert repr(SearchResults(SearchResponse((), 1.0), SearchRequest("x"), Path())) == "Nothing found."
