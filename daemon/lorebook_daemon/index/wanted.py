"""What form of answer a question wants: a reason, an error, a result, a picture, or code."""

from __future__ import annotations

import re
from typing import Literal

from lorebook_daemon.index.tokens import STOP_WORDS, terms_of, words

Form = Literal["reason", "error", "result", "picture", "code"]

# fmt: off
_MEASURED = (
    "standard", "square", "squared", "absolute", "mean", "relative", "percentage", "training", "test", "validation",
    "prediction", "estimation", "measurement", "sampling", "rounding", "margin of",
)
# fmt: on
"""What stands before an error that is a quantity."""
_NO_FAILURE = "".join(rf"(?<!\b{word} )" for word in _MEASURED)
_DEALT_WITH = (
    r"(?! (?:rates?|bars?|margins?|terms?|functions?|handling|handlers?|class(?:es)?|codes?"
    r"|of the (?:mean|slope|intercept|fit|estimate|estimator|forecast|prediction|measurement|regression)"
    r"|(?:(?:is|are|was|were|be|being) )?(?:computed|calculated|estimated|measured|minimi[sz]ed|propagated"
    r"|handled|caught|raised|logged|defined)))"
)
_CUES: dict[Form, str] = {
    "reason": r"why|how come|reasons?|what for|purpose|rationale|justif\w+|should (?:i|we)|may (?:i|we)",
    "error": rf"\w+error|\w*exceptions?|\w*warnings?|{_NO_FAILURE}errors?{_DEALT_WITH}"
    r"|traceback|crash\w*|fail(?:s|ed|ure|ing)?|(?:went|goes|gone|going|go) wrong|broke|not defined|has no attribute"
    r"|keyboardinterrupt|stopiteration|systemexit",
    "result": r"how (?:many|much|often|long|large|big|far|high|low|old|well|strong\w*|fast|quick\w*)|number of|count"
    r"|share|percentage|percent|proportion|fraction|average|mean|median|total|value|interval|rate|score|results?|table"
    r"|(?:lar|small|high|low|long|short|b|f?ew|m)est|largest|most|least|worst|best|p[- ]value",
    "picture": r"plot(?:s|ted)?|charts?|figures?|graphs?|histograms?|scatter|heat ?maps?|pictures?|images?|diagrams?",
    "code": r"functions?|class|method|loop|regex|regular expression|implement\w*|algorithm|coded|decorator|lambda",
}
_FINDS: dict[Form, re.Pattern[str]] = {
    form: re.compile(rf"\b(?:{cues})\b", re.IGNORECASE) for form, cues in _CUES.items()
}
_IDIOM = re.compile(r"\b(?:went|goes|gone|going|go) wrong\b", re.IGNORECASE)
_HERE = re.compile(
    r"\b(?:(?:went|goes|gone|going|go) wrong|broke|crash\w*|traceback|\w+error|not defined|has no attribute"
    r"|cells?\b.*\b(?:fail\w*|errors?)|(?:fail\w*|errors?)\b.*\bcells?)\b",
    re.IGNORECASE,
)
_JUST_FAILURE = re.compile(
    r"(?:errors?|exceptions?|warnings?|tracebacks?|crash\w*|fail(?:s|ed|ure|ing)?|broke)\Z", re.IGNORECASE
)
# fmt: off
_OF_ANY_CELL = frozenset((
    "come", "comes", "came", "cell", "cells", "notebook", "notebooks", "code", "line", "lines", "run", "running",
    "ran", "happen", "happens", "happened", "get", "got", "getting", "give", "gives", "show", "shows", "find", "see",
    "there", "here", "last", "any", "anything", "all", "say", "says", "message",
))
# fmt: on


def wanted(question: str) -> frozenset[Form]:
    """Return the forms of answer that the words of a question speak of; none where they leave it open.

    English words alone are known. Who asks why wants to know no number: a reason excludes a result.
    """
    found = {form for form, cue in _FINDS.items() if cue.search(question)}
    return frozenset(found - {"result"} if "reason" in found else found)


def failed_here(question: str) -> bool:
    """Say whether a question that wants an error speaks of one that happened, and not of errors as such."""
    return _HERE.search(question) is not None


def beside_failure(question: str) -> tuple[str, ...]:
    """Return the terms of what a question speaks of beside that something failed: none for "which cell failed?".

    The name of an exception stays: cells fail in many ways.
    """
    kept = [word for word in words(_IDIOM.sub(" ", question)) if not _JUST_FAILURE.match(word)]
    kept = [word for word in kept if word.casefold() not in STOP_WORDS | _OF_ANY_CELL]
    return tuple(term for word in kept for term in terms_of(word))
