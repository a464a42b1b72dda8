"""Sentences that only say the question again: they answer nothing, and the model that checks thinks them supported."""

from __future__ import annotations

import re

from lorebook_daemon.answer.attribute import terms

_OPEN = re.compile(r"\b(who|whom|whose|what|which|when|where|why|how)\b")
_YES_OR_NO = re.compile(
    r"(is|are|was|were|do|does|did|can|could|has|have|had|will|would|should|shall|must|may|might)\b"
)
_DENIED = re.compile(r"\b(no|not|none|never|nothing|nowhere|nobody|without|yes)\b|n't\b")


def is_echo(sentence: str, question: str) -> bool:
    """Return whether a sentence adds no word to a question that asks for more than yes or no.

    A word that denies is one that it adds.
    """
    asked, said = question.lower(), sentence.lower()
    if not _OPEN.search(asked) or any(_YES_OR_NO.match(clause) for clause in re.split(r"[,;:.]\s+", asked)):
        return False
    return set(terms(sentence)) <= set(terms(question)) and not (_DENIED.search(said) and not _DENIED.search(asked))
