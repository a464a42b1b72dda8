"""Rewriting: what is asked of the model, what of its text is taken, and how several lists become one."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fakes
from lorebook_api.asking import Message
from lorebook_daemon.answer.retrieved import Retrieved, RootHit
from lorebook_daemon.answer.rewriting import REWRITERS, Rewritten, Widened, fused, is_follow_up
from lorebook_daemon.engine.protocol import Priority, Turn
from lorebook_daemon.index.passage import Passage

HISTORY = (
    Message("user", "At how many bar does the B valve open?"),
    Message("assistant", "The B valve opens at 4 bar."),
)
TURN = Turn(Priority.ask, "ann")


def hit(path: str, score: float) -> RootHit:
    return RootHit("/root", Passage(path, 1, 1, path, "doc"), score)


def rewritten(name: Any, question: str, said: str, history: tuple[Message, ...] = ()) -> tuple[Rewritten, Any]:
    engine = fakes.FakeEngine(answer=said)
    rewriter = REWRITERS[name]
    assert rewriter is not None
    return asyncio.run(rewriter.rewrite(question, history, engine, TURN)), engine


def test_a_follow_up_is_made_to_stand_by_itself_and_asked_beside_the_question_before() -> None:
    result, engine = rewritten("follow-up", "And when does it close?", "And when does the B valve close?", HISTORY)
    assert result.question == "And when does the B valve close?"
    assert result.instead == "At how many bar does the B valve open? And when does it close?"
    (prompt,) = engine.prompts
    assert "user: At how many bar" in fakes.asked(prompt) and "assistant: The B valve" in fakes.asked(prompt)
    (call,) = engine.calls
    assert call.turn == TURN and call.sampling.grammar and call.sampling.temperature == 0.0


def test_a_rewriting_that_loses_what_was_asked_is_not_taken() -> None:
    for said in ("Does the B valve open?", "", "When does it shut?"):
        result, _ = rewritten("follow-up", "And when does it close?", said, HISTORY)
        assert result.question == "And when does it close?"
        assert result.instead.endswith("open? And when does it close?")


def test_a_question_that_stands_by_itself_costs_nothing() -> None:
    for history in ((), HISTORY):
        result, engine = rewritten("follow-up", "Which notebook cleans the coffee orders?", "nonsense", history)
        assert result == Rewritten("Which notebook cleans the coffee orders?")
        assert engine.calls == []
    assert rewritten("follow-up", "And it?", "nonsense")[0] == Rewritten("And it?")


@pytest.mark.parametrize(
    ("question", "leans"),
    [
        ("and in winter?", True),
        ("Why does it fail?", True),
        ("What about the second probe, with the broken cable?", True),
        ("What is the mean?", True),
        ("Which function of the clinic notebook draws the arrivals of patients?", False),
    ],
)
def test_which_questions_lean_on_what_was_said(question: str, leans: bool) -> None:
    assert is_follow_up(question) is leans


def test_long_turns_are_cut_and_old_ones_left_out() -> None:
    history = (Message("user", "OLD"), *HISTORY * 2, Message("assistant", "long " * 5000))
    _, engine = rewritten("follow-up", "Why is it so?", "x", history)
    asked = fakes.asked(engine.prompts[0])
    assert "OLD" not in asked and len(asked) < 4000


@pytest.mark.parametrize(
    ("name", "said", "queries"),
    [
        ("identifiers", "open_valve\nvalve.pressure", ("how does it open? open_valve valve.pressure",)),
        ("hyde", "The valve opens at 4 bar.", ("how does it open?\nThe valve opens at 4 bar.",)),
        ("multi-query", "A one\nB two \n\nC three", ("A one", "B two", "C three")),
    ],
)
def test_what_is_looked_up_beside_the_question(name: str, said: str, queries: tuple[str, ...]) -> None:
    result, _ = rewritten(name, "how does it open?", said)
    assert result == Rewritten("how does it open?", queries)


class Shelf:
    def __init__(self, lists: dict[str, list[str]]) -> None:
        self.lists = lists

    async def retrieve(self, query: str, k: int) -> Retrieved:
        hits = tuple(hit(path, 1 - n / 10) for n, path in enumerate(self.lists[query]))
        return Retrieved(hits[:k], "hybrid", (query,))


def test_lists_are_made_one_and_what_several_find_rises() -> None:
    shelf = Shelf({"own": ["a", "b", "c"], "one": ["c", "d"], "other": ["c", "a"]})
    found = asyncio.run(Widened(shelf, ("one", "other")).retrieve("own", 3))
    assert [one.passage.path for one in found.hits] == ["c", "a", "b"]
    assert [one.score for one in found.hits] == [1.0, 0.9, 0.8]
    assert found.notices == ("own",)


paths = st.lists(st.sampled_from("abcdefgh"), unique=True, max_size=8)


@given(paths, st.lists(paths, max_size=3))
def test_no_passage_is_lost_or_doubled_and_scores_fall(own: list[str], others: list[list[str]]) -> None:
    hits = [hit(path, 1 - n / 10) for n, path in enumerate(own)]
    lists = [[hit(path, 0.5) for path in other] for other in others]
    result = fused(hits, lists)
    found = [one.passage.path for one in result]
    assert sorted(found) == sorted(set(own).union(*others))
    scores = [one.score for one in result]
    assert scores == sorted(scores, reverse=True)
    if not others:
        assert list(result) == hits
