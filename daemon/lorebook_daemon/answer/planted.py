"""Lines in a person's files that speak to a language model: an instruction planted there must not be obeyed.

A fence, a system prompt and control tokens that no text can form keep most of them out, but a small model still obeys
"ignore all previous instructions" wherever it reads it, and then even judges that the result is supported (measured:
benchmarks/injection.py). So such lines are not shown to it; of 3.5 million lines of Python's library and installed
packages, five are withheld by mistake. Cf. Greshake et al., arXiv:2302.12173.
"""

from __future__ import annotations

import re

_WITHHELD = "[a line that speaks to a language model was left out here]"

_PLANTED = re.compile(
    r"""
      \b(ignore|disregard|forget|override|bypass)\b [\w\s,]{0,40}
        \b(instructions?|prompts?|rules|guidelines|directives|question|everything\ (above|before))\b
    | \b(system|assistant|user)\s*:\s* (from\ now\ on|you\b|only\b|always\b|never\b|respond|reply|answer|say)
    | \b(notes?|messages?|instructions?)\s+(to|for)\s+(the\s+|any\s+|all\s+)?
        (assistants?|ais?|llms?|(language\ )?models?|chat\s?bots?)\b
    | \b(ais?|llms?|assistants?|(language|ai)\ models?|chat\s?bots?)\b [^.\n]{0,30}
        \b(must|should|shall|have\ to)\s+(answer|reply|respond|say|output|write)
    | \byour\s+(new|only|real)\s+(task|role|instructions?|job)\b
    | \bfrom\ now\ on\b [^.\n]{0,30} \b(respond|reply|answer|say|output|speak)\b
    | \b(say|respond|reply|answer)\b [^.\n]{0,40} \b(and\ nothing\ else|single\ word|only\ with)\b
    """,
    re.IGNORECASE | re.VERBOSE,
)


def planted_lines(text: str) -> list[int]:
    """Return the indexes, from 0, of the lines that speak to a language model."""
    return [i for i, line in enumerate(text.split("\n")) if _PLANTED.search(line)]


def without_planted(text: str) -> str:
    """Return the text with each such line replaced by a note that one was left out."""
    return "\n".join(_WITHHELD if _PLANTED.search(line) else line for line in text.split("\n"))
