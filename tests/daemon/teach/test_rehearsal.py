"""What is rehearsed: the prompts that fit, each with what the model said before it was taught."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from lorebook_daemon.teach.gate import general_check
from lorebook_daemon.teach.rehearsal import ANSWER_TOKENS, PROMPTS, rehearsal
from lorebook_daemon.teach.samples import Sample

FACTS = Path(__file__).parents[3] / "benchmarks" / "facts" / "facts.jsonl"

END = 99


@dataclass
class Letters:
    """A Teaching whose tokens are the letters of a question, before an invocation of two."""

    tokens: Any = field(default_factory=lambda: SimpleNamespace(end=END))

    def prompt(self, turns: Any) -> tuple[tuple[int, ...], int]:
        said = tuple(map(ord, turns[-1].content))
        return (*said, 1, 2), len(said)


def test_each_prompt_comes_with_what_the_model_said_and_its_end_where_that_was_short() -> None:
    short = rehearsal(Letters(), lambda prompt, acts: (acts,), 10_000)  # type: ignore[arg-type]
    assert len(short) == len(PROMPTS)
    first = tuple(map(ord, PROMPTS[0]))
    assert short[0] == Sample((*first, 1, 2, len(first), END), len(first) + 2, len(first))
    cut = rehearsal(Letters(), lambda prompt, acts: (5,) * ANSWER_TOKENS, 10_000)  # type: ignore[arg-type]
    assert cut[0].tokens[-ANSWER_TOKENS:] == (5,) * ANSWER_TOKENS


def test_prompts_that_do_not_fit_are_left_out() -> None:
    longest = sorted(map(len, PROMPTS))[2] + 2 + ANSWER_TOKENS
    assert len(rehearsal(Letters(), lambda prompt, acts: (), longest)) == 3  # type: ignore[arg-type]


def test_nothing_that_is_measured_with_is_rehearsed() -> None:
    lines = FACTS.read_text(encoding="utf-8").splitlines()
    measured = {json.loads(line)["question"] for line in lines} | {one.question for one in general_check()}
    assert not any(question in prompt or prompt in question for question in measured for prompt in PROMPTS)
