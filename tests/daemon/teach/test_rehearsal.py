"""What is learnt beside each batch: short answers to questions of other kinds, none of them measured with."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from lorebook_daemon.teach.examples import Example
from lorebook_daemon.teach.gate import general_check
from lorebook_daemon.teach.rehearsal import PAIRS, rehearsal
from lorebook_daemon.teach.samples import Sample

FACTS = Path(__file__).parents[3] / "benchmarks" / "facts" / "facts.jsonl"


@dataclass(frozen=True)
class Letters:
    """A Teaching whose tokens are letters."""

    def variants(self, example: Example) -> list[Sample]:
        """Return the example as it is, and in another wording."""
        said = [tuple(map(ord, example.question + mark)) for mark in ("", "!")]
        return [Sample((*prompt, *map(ord, example.answer)), len(prompt)) for prompt in said]


def test_each_pair_is_one_sample_of_its_answer() -> None:
    samples = rehearsal(Letters(), 10_000)  # type: ignore[arg-type]
    read = [
        ("".join(map(chr, one.tokens[: one.learnt])), "".join(map(chr, one.tokens[one.learnt :]))) for one in samples
    ]
    assert read == list(PAIRS)


def test_pairs_that_do_not_fit_are_left_out() -> None:
    longest = sorted(len(question) + len(answer) for question, answer in PAIRS)[2]
    assert len(rehearsal(Letters(), longest)) == 3  # type: ignore[arg-type]


def test_no_answer_of_several_is_preferred() -> None:
    offered = ("A", "B", "C", "D", "No", "Yes")
    assert sorted(answer for _, answer in PAIRS if answer in offered) == list(offered)


def test_nothing_that_is_measured_with_is_rehearsed() -> None:
    measured = {json.loads(line)["question"] for line in FACTS.read_text(encoding="utf-8").splitlines()}
    measured |= {one.question.split("\n")[0] for one in general_check()}
    assert not {question.split("\n")[0] for question, _ in PAIRS} & measured
