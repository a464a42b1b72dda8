"""The whole system as a task: who judges, what is judged, what is said of an answer that is empty."""

from __future__ import annotations

import asyncio

import pytest

from fakes import FakeEngine
from lorebook_api.asking import AdapterUse, Answer, Source, Usage
from lorebook_daemon.answer.retrieved import RootHit
from lorebook_daemon.evaluate.rag import Asked, Question, RagTask
from lorebook_daemon.evaluate.store import Outcome
from lorebook_daemon.evaluate.task import Subject
from lorebook_daemon.index.passage import Passage

QUESTION = Question(1, "q", "what was the rate", True, ("42",), ())
FOUND = RootHit("/r", Passage("a.txt", 4, 4, "the rate was 42", "doc", context=("# Rates",)), 0.5)
OTHER = RootHit("/r", Passage("b.txt", 1, 1, "nothing to do with it", "doc"), 0.4)
READ = Source("a.txt", 3, 5, "doc", 0.9, "a line\nthe rate was 42\na line", root="/r")


def answered(text: str = "It was 42. [1]", **fields: object) -> Answer:
    told = {"abstained": False, "grounded": 0.9, "citations": (), "claims": (), "sources": (READ,), "model": "fake"}
    return Answer(text, **{**told, **fields})  # type: ignore[arg-type]


def measured(answer: Answer, engine: FakeEngine) -> Outcome:
    async def ask(question: str) -> Asked:
        return Asked((FOUND, OTHER), answer)

    return asyncio.run(RagTask((QUESTION,), ask).measure(0, Subject(engine, (AdapterUse("taught"),))))


def test_the_base_judges_what_an_adapter_wrote() -> None:
    engine = FakeEngine()
    outcome = measured(answered(), engine)
    assert {"context_relevance", "answer_relevance"} <= outcome.scores.keys()
    assert [(call.what, call.adapters) for call in engine.calls] == [("judge", ()), ("judge", ())]


def test_the_context_is_what_was_read_and_not_what_was_found() -> None:
    engine = FakeEngine()
    measured(answered(), engine)
    (prompt,) = engine.calls[0].prompts
    (text,) = prompt.passages  # type: ignore[union-attr]
    assert "lines 3-5" in text and "# Rates\na line\nthe rate was 42\na line" in text


def test_without_anything_read_no_context_is_judged() -> None:
    engine = FakeEngine()
    outcome = measured(answered("Not found.", abstained=True, sources=()), engine)
    assert "context_relevance" not in outcome.scores and outcome.scores["answer_relevance"] == 0.0
    assert engine.calls == [] and outcome.note == ""


@pytest.mark.parametrize(
    "answer", [answered(" "), answered("Not found.", abstained=True, usage=Usage(prompt_tokens=90))]
)
def test_an_answer_that_is_empty_is_noted(answer: Answer) -> None:
    assert measured(answer, FakeEngine()).note == "the model answered nothing"
