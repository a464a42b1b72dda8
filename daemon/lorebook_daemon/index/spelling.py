"""One spelling of words that are written in two ways: who asks for the licence finds LICENSE."""

from __future__ import annotations

import re

_SPELLINGS = tuple(
    (re.compile(pattern), spelling)
    for pattern, spelling in (
        # Words that are no British spelling (`raise`) come to be written so everywhere, which does them no harm.
        (r"is(e|ed|es|er|ers|ing|ation|ations)$", r"iz\1"),
        (r"^(anal|paral)ys(e|ed|er|ers|es|ing)$", r"\1yz\2"),
        (r"^(un|dis)?(arm|behavi|col|fav|flav|harb|hon|hum|lab|neighb|rum|vap|vig)our", r"\1\2or"),
        (r"^((?:centi|kilo|milli)?(?:cent|fib|lit|met|theat))re(d|s?)$", r"\1er\2"),
        (r"^(def|lic|off|pret)ence", r"\1ense"),
        (r"^(anal|cata|dia|mono|pro)logue", r"\1log"),
        (
            r"^(cancel|channel|fuel|initial|label|level|marshal|model|signal|total|travel|tunnel)l(ed|er|ers|ing)$",
            r"\1\2",
        ),
        (r"^grey", "gray"),
        (r"^artefact", "artifact"),
        (r"^programme(s?)$", r"program\1"),
        (r"^judgement", "judgment"),
        (r"^fulfil(s|ment)?$", r"fulfill\1"),
    )
)
_ANY = re.compile("|".join(f"(?:{pattern.pattern})" for pattern, _ in _SPELLINGS))


def one_spelling(word: str) -> str:
    """Return a folded word as it is spelled in American English; other words, as they are or as all of them become."""
    for pattern, spelling in _SPELLINGS if _ANY.search(word) else ():
        word = pattern.sub(spelling, word)
    return word
