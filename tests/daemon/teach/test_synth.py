"""Questions that a model proposes about cells, kept where its own answer is grounded."""

from __future__ import annotations

import asyncio

from fakes import FakeEngine, asked
from lorebook_daemon.engine.protocol import Priority
from lorebook_daemon.teach.select import SelectedCell
from lorebook_daemon.teach.synth import synthesize

CELL = SelectedCell("/notes/lab.ipynb", "c1", 0, "code", "df = df.dropna()  # no rows without a date", "421", True)


class Proposing(FakeEngine):
    """It asks three questions about every cell, and is sure of the answers to those that `sure` holds."""

    def __init__(self, *sure: str, asks: str = "1. What is dropped?\n- How many rows stay in df?\nAnd so on\n") -> None:
        super().__init__()
        self._sure, self._asks = sure, asks

    def _reply(self, prompt):
        question = asked(prompt)
        return self._asks if question.startswith("Write ") else f"It is {question.split(': ')[1][:20]}"

    async def judge(self, prompts, adapters=(), turn=None):
        await super().judge(prompts, adapters, turn)
        return [2.0 if any(f"Question: {sure}" in asked(one) for sure in self._sure) else -2.0 for one in prompts]


def examples(engine, *cells):
    return asyncio.run(synthesize(cells, engine))


def test_what_is_grounded_becomes_an_example_of_its_cell():
    engine = Proposing("What is dropped?")
    (one,) = examples(engine, CELL)
    assert one.question == "What is dropped?" and one.answer.startswith("It is What is dropped")
    assert (one.origin.path, one.origin.cell) == (CELL.path, "c1") and len(one.origin.sha256) == 64
    assert {call.turn.priority for call in engine.calls} == {Priority.eval}
    assert all(CELL.source in prompt.passages[0] and "421" in prompt.passages[0] for prompt in engine.prompts)


def test_an_ungrounded_answer_teaches_nothing():
    assert examples(Proposing(), CELL) == []
    assert len(examples(Proposing("What is dropped?", "How many rows stay in df?"), CELL)) == 2


def test_cells_that_were_not_chosen_or_say_nothing_are_not_asked_about():
    from dataclasses import replace

    engine = Proposing("What is dropped?")
    assert examples(engine, replace(CELL, chosen=False), replace(CELL, source="x", output="")) == []
    assert engine.prompts == []


def test_a_model_that_asks_nothing_gives_nothing():
    assert examples(Proposing("What is dropped?", asks="I cannot do that."), CELL) == []
    assert examples(Proposing("What is dropped?", asks=""), CELL) == []


def test_the_same_question_is_asked_once():
    twice = Proposing("What is dropped?", asks="What is dropped?\n2) What is dropped?\n")
    assert len(examples(twice, CELL)) == 1
