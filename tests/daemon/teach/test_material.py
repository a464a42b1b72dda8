"""What the methods learn from: rows of preferences and of classes, and what of them teaches nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorebook_api.errors import BadRequest, Unusable
from lorebook_daemon.teach.datafile import read_data
from lorebook_daemon.teach.examples import Example, Origin, Turn, read_examples, write_examples
from lorebook_daemon.teach.material import classes, suited

HERE = Origin("a.jsonl", "row 1")
WORDS = st.sampled_from(["", " ", "yes", "yes ", "no", "maybe"])


def read(tmp_path: Path, *rows: object) -> list[Example]:
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return read_data(path)


def test_preferences_come_with_a_prompt_or_an_instruction(tmp_path: Path) -> None:
    one, other = read(
        tmp_path,
        {"prompt": "Say it.", "chosen": "It.", "rejected": "No."},
        {"instruction": "Put this right:", "input": "freind", "output": "friend", "chosen": "friend", "rejected": "x"},
    )
    assert (one.question, one.answer, one.rejected) == ("Say it.", "It.", "No.")
    assert (other.question, other.answer, other.rejected) == ("Put this right:\n\nfreind", "friend", "x")


def test_a_label_may_be_a_number_or_a_truth(tmp_path: Path) -> None:
    rows = read(tmp_path, *({"text": "x", "label": label} for label in ("spam", 1, True)))
    assert [row.label for row in rows] == ["spam", "1", "True"] and all(not row.turns for row in rows)


@pytest.mark.parametrize(
    "row",
    [{"prompt": "a", "chosen": "b"}, {"chosen": "b", "rejected": "c"}, {"label": "a"}, {"text": "a", "label": 1.5}],
)
def test_half_a_row_is_told_with_its_number(tmp_path: Path, row: object) -> None:
    with pytest.raises(Unusable, match=r"Row 1 of rows\.jsonl"):
        read(tmp_path, row)


def test_they_are_kept_as_they_are(tmp_path: Path) -> None:
    rows = [
        Example((Turn("user", "a"),), "b", HERE, rejected="c"),
        Example((), "text", HERE, label="spam"),
    ]
    write_examples(tmp_path / "examples.jsonl", rows)
    assert read_examples(tmp_path / "examples.jsonl") == rows


@given(st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=6))
def test_pairs_that_do_not_differ_are_left_out_and_no_others(pairs: list[tuple[str, str]]) -> None:
    examples = [Example((Turn("user", "q"),), chosen, HERE, rejected=rejected) for chosen, rejected in pairs]
    differ = [bool(rejected.strip()) and chosen.strip() != rejected.strip() for chosen, rejected in pairs]
    if not any(differ):
        with pytest.raises(BadRequest, match="can be learnt from"):
            suited(examples, "pairs")
        return
    assert [not one.left_out for one in suited(examples, "pairs")] == differ


@given(st.lists(st.sampled_from(["", "a", "b", "c"]), min_size=1, max_size=8))
def test_texts_are_of_two_classes_at_least(labels: list[str]) -> None:
    examples = [Example((), f"text {n}", HERE, label=label) for n, label in enumerate(labels)]
    named = {label for label in labels if label}
    if len(named) < 2:
        with pytest.raises(BadRequest):
            suited(examples, "labels")
        return
    marked = suited(examples, "labels")
    assert classes(marked) == tuple(sorted(named))
    assert [bool(one.left_out) for one in marked] == [not label for label in labels]


def test_what_was_left_out_keeps_its_reason() -> None:
    examples = [
        Example((Turn("user", "q"),), "a", HERE, rejected="a", left_out="secret: it holds a token"),
        Example((Turn("user", "q"),), "a", HERE, rejected="b"),
    ]
    assert [one.left_out for one in suited(examples, "pairs")] == ["secret: it holds a token", ""]
    assert suited(examples, "answers") == examples
