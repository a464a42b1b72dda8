"""True and False, as sentences and code say them: the model that checks overlooks it where one became the other."""

from __future__ import annotations

import re

_IN_SENTENCE = re.compile(r"\b(True|False)\b|`[^`]*\b(true|false)\b[^`]*`")
_IN_LINES = re.compile(r"\b(true|false)\b", re.IGNORECASE)
_TURNED = re.compile(r"\b(not|never|unless|instead|rather|than|without|longer)\b|n't\b", re.IGNORECASE)
"""Words by which a sentence may name the opposite of what it says."""


def contradicts(sentence: str, lines: str) -> bool:
    """Return whether a sentence says that something is True, or False, where the lines know only the opposite.

    A sentence with a word that may turn its meaning is let through, and so is one that names both.
    """
    said = {_value(match[1] or match[2]) for match in _IN_SENTENCE.finditer(sentence)}
    stands = {_value(match[1]) for match in _IN_LINES.finditer(lines)}
    return len(said) == len(stands) == 1 and said != stands and not _TURNED.search(sentence)


def _value(word: str) -> bool:
    return word.lower() == "true"
