"""Text of a file as a block of code in Markdown, which nothing in the text can close."""

from __future__ import annotations

import re

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Characters that act on a terminal or turn the direction of text."""

_LANGUAGE = re.compile(r"[A-Za-z0-9_+#.-]{1,30}")


def code_block(text: str, language: str = "") -> str:
    """Return `text` fenced, the fence longer than any that the text holds."""
    text = CONTROL.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n")).strip("\n")
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    language = language if _LANGUAGE.fullmatch(language) else ""
    return f"{fence}{language}\n{text}\n{fence}"
