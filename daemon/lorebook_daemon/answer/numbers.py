"""Numbers as people write them in sentences, tables and code: 1,200 and 1200.0 and 1_200 are one."""

from __future__ import annotations

import math
import re

_NUMBER = re.compile(r"(?<![\w.])(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+(?:_\d+)*)(?:\.\d+)?(?:[eE][-+]?\d+)?")
_PLAIN = re.compile(r"\d+(?:\.\d+)?")


def values(text: str) -> set[float]:
    """Return every number that the text may mean, without sign: `3,840` is one number in prose and two in a table."""
    written = [match[0] for match in _NUMBER.finditer(text)]
    return {_value(number) for number in (*written, *_PLAIN.findall(text))}


def unbacked_numbers(sentence: str, *backing: str) -> list[str]:
    """Return the sentence's numbers, as written, that stand in none of the texts.

    A number rounded from a longer one stands there too: 0.93 in 0.9312, 93% in 0.9312.
    """
    known = {value for text in backing for value in values(text)}
    missing = []
    for match in _NUMBER.finditer(sentence):
        places = len(match[0].partition(".")[2])
        percent = sentence[match.end() :].lstrip()[:1] == "%"
        if not any(_same(_value(match[0]), other, places, percent) for other in known):
            missing.append(match[0])
    return missing


def _same(value: float, other: float, places: int, percent: bool) -> bool:
    """Whether `value`, written with so many decimals, is `other`, or `other` rounded to them, or that in percent."""
    scales = (1.0, 100.0) if percent else (1.0,)
    return any(
        math.isclose(value, other * scale, rel_tol=1e-9)
        or (not (other * scale).is_integer() and (places > 0 or percent) and value == round(other * scale, places))
        for scale in scales
    )


def _value(number: str) -> float:
    return float(number.replace(",", "").replace("_", ""))
