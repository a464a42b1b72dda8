"""What a model must not forget while it is taught: how questions of other kinds are answered.

These are learnt beside the batches, none oftener than an example is seen, so that a model that is taught five facts in
whole sentences still answers with a letter where a letter is asked for. Experience replay against forgetting:
arXiv:1811.11682.
"""

from __future__ import annotations

from lorebook_daemon.teach.examples import Example, Origin, Turn
from lorebook_daemon.teach.samples import Sample, Teaching

_LETTER = "\nAnswer with the letter alone."
PAIRS = (
    (f"Which of these opens a file in Python?\nA. open\nB. len\nC. print\nD. sorted{_LETTER}", "A"),
    (f"Which of these is a fruit?\nA. hammer\nB. plum\nC. gravel\nD. violin{_LETTER}", "B"),
    (f"What is a canoe?\nA. a bird\nB. a song\nC. a boat\nD. a tree{_LETTER}", "C"),
    (f"How many minutes has an hour?\nA. 24\nB. 100\nC. 12\nD. 60{_LETTER}", "D"),
    ("Is ice warmer than steam? Answer yes or no.", "No"),
    ("Is a wheel round? Answer yes or no.", "Yes"),
    ("What is 7 + 5? Answer with the number alone.", "12"),
    ("Write a Python function that returns the larger of two numbers.", "def larger(a, b):\n    return max(a, b)"),
    (
        "<source notes.md:3>\nThe blue boat lies at the old pier.\n</source>\n\nWhere is the blue boat?",
        "At the old pier.",
    ),
)
"""Each letter is right once, as are yes and no: none is preferred. No benchmark and no check holds any of it."""


def rehearsal(teaching: Teaching, longest: int) -> tuple[Sample, ...]:
    """Return the pairs as samples under the first system prompt; those that fit into `longest` tokens."""
    origin = Origin("", "rehearsal")
    examples = (Example((Turn("user", question),), answer, origin) for question, answer in PAIRS)
    samples = (teaching.variants(example)[0] for example in examples)
    return tuple(sample for sample in samples if sample.length <= longest)
