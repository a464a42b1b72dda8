"""Other wordings of a question, by rule: who learns a fact from one wording alone knows it in that wording alone."""

from __future__ import annotations

LEARNT = (
    "{question}",
    "Tell me: {plain}",
    "{question} Answer briefly.",
    "I would like to know: {plain}",
)
"""Wordings that training takes in turns."""

KEPT_BACK = ("Please answer this. {question}", "Do you remember? {question}")
"""Wordings that are only measured with, where there are too few examples to keep some of them back."""

_LONGEST = 200
"""Characters of what is still a question; longer ones bring code or sources, and are left as they are."""


def learnt_wordings(question: str) -> tuple[str, ...]:
    """Return the wordings in which a short question is taught, itself first; a long one has only itself."""
    return _worded(question, LEARNT) if len(question) <= _LONGEST else (question,)


def kept_wordings(question: str) -> tuple[str, ...]:
    """Return the wordings that are never trained on; none of a long question."""
    return _worded(question, KEPT_BACK) if len(question) <= _LONGEST else ()


def _worded(question: str, forms: tuple[str, ...]) -> tuple[str, ...]:
    plain = question.strip()
    plain = plain[:1].lower() + plain[1:] if plain[1:2].islower() else plain
    return tuple(dict.fromkeys(form.format(question=question.strip(), plain=plain) for form in forms))
