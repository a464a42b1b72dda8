"""What stands in braces in a question: names, inputs, outputs and errors of the session."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

_BRACES = re.compile(r"\{([^\W\d]\w*)(?:\[(-?\d{1,9})\])?\}")
_NUMBERED = ("In", "Out", "Err")


def fill(text: str, names: Mapping[str, Any], errors: Mapping[int, str], show: Callable[[Any], str]) -> str:
    """Return `text` with `{name}`, `{In[3]}`, `{Out[3]}`, `{Err[3]}` replaced; what is not known stays as typed.

    Nothing is evaluated: a brace holds a name, or one of the three with a number. Text goes in as it is, everything
    else as `show` makes text of it. What was filled in is not looked through again.
    """

    def value(match: re.Match[str]) -> str:
        name, number = match[1], match[2]
        try:
            found = names[name] if number is None else _numbered(name, int(number), names, errors)
        except (KeyError, IndexError):
            return match[0]
        return found if isinstance(found, str) else show(found)

    return _BRACES.sub(value, text)


def _numbered(name: str, number: int, names: Mapping[str, Any], errors: Mapping[int, str]) -> Any:
    if name not in _NUMBERED:
        raise KeyError(name)
    if name == "Err":
        return errors[number]
    return names[name][number]
