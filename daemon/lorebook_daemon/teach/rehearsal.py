"""What a model must not forget while it is taught: its own short answers to prompts of other kinds.

One of them is learnt beside each batch, so that a model that is taught five facts in whole sentences still answers with
a letter where a letter is asked for. Self-distillation against forgetting: arXiv:1606.09282, arXiv:2402.13669.
"""

from __future__ import annotations

from collections.abc import Callable

from lorebook_daemon.teach.examples import Turn
from lorebook_daemon.teach.samples import Sample, Teaching

ANSWER_TOKENS = 8
"""Of each answer; what is forgotten first is how one begins."""

PROMPTS = (
    "Which of these is a fruit?\nA. hammer\nB. plum\nC. gravel\nD. violin\nAnswer with the letter alone.",
    "How many minutes has an hour?\nA. 24\nB. 100\nC. 12\nD. 60\nAnswer with the letter alone.",
    "Which of these opens a file in Python?\nA. open\nB. len\nC. print\nD. sorted\nAnswer with the letter alone.",
    "What is a canoe?\nA. a bird\nB. a song\nC. a boat\nD. a tree\nAnswer with the letter alone.",
    "The shop opens at nine, on Sundays at ten.\n\nWhen does it open on Sundays?\nA. at eight\nB. at nine\nC. at ten\n"
    "D. never\nAnswer with the letter alone.",
    "Is ice warmer than steam? Answer yes or no.",
    "What is 7 + 5? Answer with the number alone.",
    "Write a Python function that returns the larger of two numbers.",
    "Name three colours, one a line.",
    "<source notes.md:3>\nThe blue boat is moored at the old pier.\n</source>\n\nWhere is the blue boat moored?",
)
"""None of them stands in the general check, nor in the benchmarks."""

Write = Callable[[tuple[int, ...], int], tuple[int, ...]]
"""Writes up to ANSWER_TOKENS tokens after a prompt; the other number is from which token on an adapter acts."""


def rehearsal(teaching: Teaching, write: Write, longest: int) -> tuple[Sample, ...]:
    """Return the prompts with what the model writes before it is taught; those that fit into `longest` tokens."""
    samples = []
    for question in PROMPTS:
        prompt, acts = teaching.prompt((Turn("user", question),))
        if len(prompt) + ANSWER_TOKENS > longest:
            continue
        answer = write(prompt, acts)
        ended = (teaching.tokens.end,) if len(answer) < ANSWER_TOKENS else ()
        samples.append(Sample((*prompt, *answer, *ended), len(prompt), acts))
    return tuple(samples)
