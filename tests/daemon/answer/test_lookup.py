"""How a request is looked up: in which order rewriting, search and reranking come, and what needs a model."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import fakes
from lorebook_api.asking import Message
from lorebook_api.errors import BadRequest, EngineFailed
from lorebook_daemon.answer.lookup import Lookup
from lorebook_daemon.answer.retrieved import Retrieved, RootHit
from lorebook_daemon.index.passage import Passage

HISTORY = (Message("user", "When does the valve open?"), Message("assistant", "At 4 bar."))


class Shelf:
    """Finds three passages, and notes what it was asked."""

    def __init__(self) -> None:
        self.queries: list[str] = []

    async def retrieve(self, query: str, k: int) -> Retrieved:
        self.queries.append(query)
        texts = ("Nothing.", "The valve closes at 3 bar.", "A bakery.")
        hits = [RootHit("", Passage(f"{n}.md", 1, 1, text, "doc"), 1 - n / 10) for n, text in enumerate(texts)]
        return Retrieved(tuple(hits)[:k], "lexical", ("fresh",))


def look_up(lookup: Lookup, question: str, engine: Any) -> tuple[str, Retrieved, list[str], list[str]]:
    shelf, told = Shelf(), []

    async def emit(event: str, body: Any) -> None:
        told.append(body.what)

    async def run() -> tuple[str, Retrieved]:
        understood, retriever = await lookup.prepared(question, shelf, engine, emit)
        return understood, await retriever.retrieve(understood, 2)

    understood, found = asyncio.run(run())
    return understood, found, shelf.queries, told


def test_by_default_nothing_is_done_and_no_model_wanted() -> None:
    lookup = Lookup("none", "none")
    assert not lookup.wants_model("Why?")
    understood, found, queries, told = look_up(lookup, "Why?", None)
    assert (understood, queries, told) == ("Why?", ["Why?"], [])
    assert [hit.passage.path for hit in found.hits] == ["0.md", "1.md"]


def test_a_follow_up_is_understood_looked_up_with_the_question_before_and_told() -> None:
    engine = fakes.FakeEngine(answer="When does the valve close?")
    lookup = Lookup("model", "follow-up", HISTORY)
    understood, found, queries, told = look_up(lookup, "When does it close?", engine)
    assert understood == "When does the valve close?"
    assert queries == ["When does the valve open? When does it close?"]
    assert found.notices == ("Understood as: When does the valve close?", "fresh")
    assert found.hits[0].passage.path == "1.md"
    assert told[0] == "putting the question in other words" and told[1] == "reranking passages"


@pytest.mark.parametrize(
    ("lookup", "question", "wants"),
    [
        (Lookup("model", "none"), "Which valve opens first of all?", True),
        (Lookup("judge", "none"), "Which valve opens first of all?", True),
        (Lookup("cross-encoder", "none"), "Which valve opens first of all?", False),
        (Lookup("none", "hyde"), "Which valve opens first of all?", True),
        (Lookup("none", "follow-up"), "And it?", False),
        (Lookup("none", "follow-up", HISTORY), "And it?", True),
        (Lookup("none", "follow-up", HISTORY), "Which notebook describes the coffee orders?", False),
    ],
)
def test_a_model_is_wanted_only_where_it_is_used(lookup: Lookup, question: str, wants: bool) -> None:
    assert lookup.wants_model(question) is wants
    engine = fakes.FakeEngine()
    if lookup.rerank != "cross-encoder":
        look_up(lookup, question, engine)
        assert bool(engine.calls) is wants


def test_what_is_not_there_is_an_error_before_anything_is_looked_up() -> None:
    with pytest.raises(BadRequest, match="cross-encoder"):
        look_up(Lookup("cross-encoder", "none"), "Why?", None)
    with pytest.raises(EngineFailed):
        look_up(Lookup("model", "none"), "Why?", None)
