"""What form of answer a question wants: a reason, an error, a result, a picture, or code."""

from __future__ import annotations

import re
from typing import Literal

Form = Literal["reason", "error", "result", "picture", "code"]

_CUES: dict[Form, str] = {
    "reason": r"why|how come|reasons?|what for|purpose|rationale|justif\w+|should (?:i|we)|may (?:i|we)",
    "error": r"\w+error|\w*exceptions?|\w*warnings?|(?<!standard )(?<!squared )errors?(?! (?:rate|bar|margin|term))"
    r"|traceback|crash\w*|fail(?:s|ed|ure|ing)?|not defined|has no attribute",
    "result": r"how (?:many|much|often|long|large|big|far|high|low|old|well|strong\w*|fast|quick\w*)|number of|count"
    r"|share|percentage|percent|proportion|fraction|average|mean|median|total|value|interval|rate|score|results?|table"
    r"|(?:lar|small|high|low|long|short|b|f?ew|m)est|largest|most|least|worst|best|p[- ]value",
    "picture": r"plot(?:s|ted)?|charts?|figures?|graphs?|histograms?|scatter|heat ?maps?|pictures?|images?|diagrams?",
    "code": r"functions?|class|method|loop|regex|regular expression|implement\w*|algorithm|coded|decorator|lambda",
}
_FINDS: dict[Form, re.Pattern[str]] = {
    form: re.compile(rf"\b(?:{cues})\b", re.IGNORECASE) for form, cues in _CUES.items()
}


def wanted(question: str) -> frozenset[Form]:
    """Return the forms of answer that the words of a question speak of; none where they leave it open.

    English words alone are known. Who asks why wants to know no number: a reason excludes a result.
    """
    found = {form for form, cue in _FINDS.items() if cue.search(question)}
    return frozenset(found - {"result"} if "reason" in found else found)
