"""Which names a question wants to see set: those that stand beside a word for it, and the one that is all it speaks of.

A word of English may be a name as well, so that a word counts by its place: "where is threshold set?", "the variable
threshold", "what is threshold?". English words alone are known.
"""

from __future__ import annotations

import re

from lorebook_daemon.index.tokens import STOP_WORDS, words

_NAME = r"([^\W\d]\w*)"
_NOUN = r"(?:variable|column|constant|function|parameter|class|data ?frame)"
_THE = r"(?:(?:the|a|an|my|our|this|that)\s+)?"
_SET = r"set(?=\W*$|\s+(?:by|to|in|from|as|for|at|on|first|again|anew)\b)"  # "the test set", "set up" are none
_SETTING = tuple(
    re.compile(rf"\b{pattern}", re.IGNORECASE)
    for pattern in (
        rf"(?:defin(?:es?|ing)|definition of|sets|(?:i|we|you|to) set|assign(?:s|ing)?|creat(?:es?|ing)"
        rf"|declar(?:es?|ing)|initiali[sz](?:es?|ing))\s+{_THE}(?:{_NOUN}\s+|value of\s+)?{_NAME}",
        rf"(?:is|are|was|were|gets?|do|does|did)\s+{_THE}(?:{_NOUN}\s+)?{_NAME}\s+(?:first\s+|get\s+)?"
        rf"(?:defined|assigned|declared|created|initiali[sz]ed|{_SET}|comes?\s+from)\b",
        rf"{_NOUN}\s+{_NAME}",
        rf"{_NAME}\s+(?:variable|column|constant|function|parameter)\b",
    )
)
_FAILURE = re.compile(r"(?:\w*errors?|\w*exceptions?|\w*warnings?|fail\w*|crash\w*|traceback)\Z")
# fmt: off
_SAYS_NOTHING = frozenset((
    "cell", "cells", "notebook", "variable", "column", "constant", "function", "parameter", "class", "dataframe",
    "frame", "value", "mean", "means", "called", "name", "named", "defined", "define", "defines", "definition", "set",
    "sets", "assigned", "assign", "assigns", "created", "create", "creates", "declared", "come", "comes", "made", "not",
))
# fmt: on


def sought_names(question: str) -> tuple[str, ...]:
    """Return, folded, the names that stand beside a word for being set.

    An error that comes from somewhere is none, unless it stands between backticks.
    """
    marked = {name.casefold() for name in re.findall(r"`(\w+)`", question)}
    text = plain(question)
    found = (match[1].casefold() for pattern in _SETTING for match in pattern.finditer(text))
    return tuple(
        name
        for name in dict.fromkeys(found)
        if name in marked or not (name in STOP_WORDS or name in _SAYS_NOTHING or _FAILURE.match(name))
    )


def only_name(question: str) -> str | None:
    """Return, folded, the one word that a question is about ("what is threshold?"); None where there are others."""
    every = {word.casefold() for word in words(question)}
    left = every - STOP_WORDS - _SAYS_NOTHING
    name = left.pop() if len(left) == 1 else None
    return name if name and not name[0].isdigit() and not _FAILURE.match(name) else None


def plain(question: str) -> str:
    """Return the question without the marks that names are put between."""
    return re.sub(r"[`'\"“”‘’]|\(\)", "", question)
