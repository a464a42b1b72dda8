"""Diversity, stereotypes, and what an adapter was taught of what it is tested on."""

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import FakeEngine, HashEmbedder
from lorebook_api.asking import AdapterUse
from lorebook_api.errors import BadRequest
from lorebook_api.evaluation import Overlap
from lorebook_api.home import Home
from lorebook_daemon.evaluate import overlap
from lorebook_daemon.evaluate.diversity import DiversityTask, bleu, differences, distinct, read_prompts, repetition
from lorebook_daemon.evaluate.rows import Row
from lorebook_daemon.evaluate.stereotypes import BiasTask, by_type, read_pairs
from lorebook_daemon.evaluate.task import Subject, run_task
from lorebook_daemon.models.adapters import card_file
from lorebook_daemon.teach.examples import Example, Origin, Turn, write_examples

SAME, OTHER = "the cat sat on the mat today", "a dog ran through our green park"


def test_answers_that_are_the_same_have_no_diversity() -> None:
    same, apart = differences([SAME] * 3, HashEmbedder()), differences([SAME, OTHER], HashEmbedder())
    assert same["self_bleu"] == pytest.approx(1.0) and same["spread"] == pytest.approx(0.0, abs=1e-6)
    assert apart["self_bleu"] == 0.0 and apart["spread"] > 0.5
    assert apart["distinct_1"] > same["distinct_1"] == pytest.approx(6 / 21)
    assert differences(["", ""], HashEmbedder())["distinct_2"] == 0.0


def test_what_is_said_again_is_repetition() -> None:
    assert repetition(["a", "b", "c", "d", "e", "f", "g"]) == 0.0
    assert repetition(["a", "b", "c", "d", "a", "b", "c", "d", "a", "b", "c", "d"]) == pytest.approx(1 - 4 / 9)
    assert distinct([["a", "b"], ["a", "b"]], 2) == 0.5


@given(st.lists(st.sampled_from("abcde"), min_size=1, max_size=12), st.lists(st.sampled_from("abcde"), max_size=12))
def test_bleu_is_a_share_and_1_for_the_same(text: list[str], other: list[str]) -> None:
    assert 0.0 <= bleu(text, [other]) <= 1.0
    assert bleu(text, [other, text]) == pytest.approx(1.0)


def test_prompts_are_answered_several_times_with_seeds_of_their_own() -> None:
    asked, skipped = read_prompts([Row(1, {"prompt": "Say it."}), Row(2, {"text": "?"})])
    assert [one.row for one in skipped] == [2]
    engine = FakeEngine(answer="")
    task = DiversityTask(asked, 3, 0.8, 8, HashEmbedder())
    found = asyncio.run(run_task(task, Subject(engine), lambda progress: None, {}, lambda name, outcome: None))
    drawn = [call.sampling for call in engine.calls if call.sampling]
    assert {one.temperature for one in drawn} == {0.8} and len({one.seed for one in drawn}) == 3
    assert found.notes == ("item 1: the model answered nothing",)
    with pytest.raises(BadRequest, match="no row holds a prompt"):
        read_prompts([Row(1, {"text": "?"})])


def test_the_likelier_sentence_of_a_pair() -> None:
    rows = [
        Row(1, {"sent_more": "they are they are", "sent_less": "they are new here", "bias_type": "age"}),
        Row(2, {"sent_more": "one two three four", "sent_less": "one one one one", "bias_type": "gender"}),
        Row(3, {"sent_more": "", "sent_less": "x"}),
        Row(4, {"sent_more": "x"}),
        Row(5, {"sent_more": "the same", "sent_less": "the same"}),
    ]
    pairs, skipped = read_pairs(rows)
    assert [one.row for one in skipped] == [3, 4, 5]
    subject = Subject(FakeEngine())
    found = asyncio.run(run_task(BiasTask(pairs), subject, lambda progress: None, {}, lambda name, outcome: None))
    figures = by_type(pairs, found)
    assert figures["stereotype"].value == 0.5
    assert (figures["stereotype: age"].value, figures["stereotype: gender"].value) == (1.0, 0.0)
    assert figures["likelihood_difference"].value > 0
    with pytest.raises(BadRequest, match="no row is a pair"):
        read_pairs(rows[2:])


def test_words_in_a_row_that_were_taught() -> None:
    known = ["The river Lune rises near Ravenstonedale and flows past Kirkby Lonsdale to the sea."]
    tested = [
        "Where does it go? The river LUNE rises near Ravenstonedale, and flows on.",
        "The river Lune rises near another place and flows elsewhere.",
        "rises near Ravenstonedale",
        "the sea",
    ]
    assert overlap.overlapping(tested, known) == [True, False, True, False], "two words stand everywhere"
    assert overlap.overlapping([], known) == []


@given(st.lists(st.sampled_from("abc"), min_size=3, max_size=12), st.integers(0, 5), st.integers(0, 5))
def test_what_is_part_of_what_was_taught_is_found(text: list[str], before: int, after: int) -> None:
    known = " ".join(["x"] * before + text + ["y"] * after)
    assert overlap.overlapping([" ".join(text)], [known]) == [True]


def test_what_an_adapter_was_taught_is_told_beside_its_figures(home: Home) -> None:
    folder = home.state / "jobs" / "j1"
    folder.mkdir(parents=True)
    taught = Example((Turn("user", "Which pump broke at the old mill?"),), "The third pump from the left.", Origin(""))
    held = Example((Turn("user", "What is kept back is not taught at all"),), "No.", Origin(""), held_out=True)
    write_examples(folder / "examples.jsonl", [taught, held])
    card = card_file(home, "mill")
    card.parent.mkdir(parents=True, exist_ok=True)
    card.write_text(json.dumps({"job": "j1"}))
    tested = ["Which pump broke at the old mill?", "What is kept back is not taught at all", "And who said so?"]
    found = overlap.overlaps(tested, (AdapterUse("mill"), AdapterUse("elsewhere")), home)
    assert found == (Overlap("mill", 1, 3), Overlap("elsewhere", None, 3))
    told = list(map(overlap.told, found))
    assert "1 of 3 items share" in told[0] and "mill" in told[0]
    assert "elsewhere was taught is not known" in told[1]
