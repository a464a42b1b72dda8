"""Other wordings of a question, by rule: who learns a fact from one wording alone knows it in that wording alone."""

from __future__ import annotations

import re

LEARNT = (
    "{question}",
    "Tell me: {plain}",
    "{words}?",
    "{question} Answer briefly.",
    "What do you know about this: {backwards}?",
    "I have a question about {sooner}. Can you help?",
    "I would like to know this: {later}",
)
"""Wordings that training takes in turns: the sentence in frames, and the words that it is about, in either order.

The bare words are what other people's wordings have in common with this one; few have all of them, so that two
wordings leave out the last one and the first.
"""

KEPT_BACK = ("Please answer this. {question}", "Do you remember? {question}")
"""Wordings that are only measured with, where there are too few examples to keep some of them back."""

_LONGEST = 200
"""Characters of what is still a question; longer ones bring code or sources, and are left as they are."""

_FEWEST = 2
"""Words of which none is left out."""

_WORD = re.compile(r"\w+(?:[-.'’]\w+)*")
_FUNCTION = re.compile(
    r"(?:an?|and|are|as|at|be|been|by|can|could|did|do|does|for|from|had|has|have|he|her|his|how|i|if|in|into|is|its?|me|"
    r"my|no|not|of|on|or|our|shall|she|should|so|than|that|their|them|there|the|they|this|to|us|was|we|were|what|when|"
    r"where|which|who|whom|whose|why|will|with|would|you|your)",
    re.IGNORECASE,
)
"""English words that say nothing of what a question is about; in another language all words count."""


def learnt_wordings(question: str) -> tuple[str, ...]:
    """Return the wordings in which a short question is taught, itself first; a long one has only itself."""
    return _worded(question, LEARNT) if len(question) <= _LONGEST else (question,)


def kept_wordings(question: str) -> tuple[str, ...]:
    """Return the wordings that are never trained on; none of a long question."""
    return _worded(question, KEPT_BACK) if len(question) <= _LONGEST else ()


def _worded(question: str, forms: tuple[str, ...]) -> tuple[str, ...]:
    plain = question.strip()
    plain = plain[:1].lower() + plain[1:] if plain[1:2].islower() else plain
    about = _about(question)
    some = len(about) > _FEWEST
    parts = {
        "question": question.strip(),
        "plain": plain,
        "words": " ".join(about),
        "backwards": " ".join(about[::-1]),
        "sooner": " ".join(about[:-1] if some else about),
        "later": " ".join(about[1:] if some else about),
    }
    return tuple(dict.fromkeys(form.format(**parts) for form in forms))


def _about(question: str) -> list[str]:
    """Return the words that a question is about, in order; all of them where that leaves none."""
    words: list[str] = _WORD.findall(question)
    return [word for word in words if not _FUNCTION.fullmatch(word)] or words or [question.strip()]
