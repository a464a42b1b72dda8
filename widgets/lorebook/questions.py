"""Question marks at the end of `%ask`: to IPython they mean help on the last word."""

from __future__ import annotations

import re

_ASKED = re.compile(r"^(\s*)%ask\s+(.*\?)\s*$", re.DOTALL)


def keep_question_marks(lines: list[str]) -> list[str]:
    """Return the cell's lines with each `%ask …?` as the call that IPython makes of `%ask …` (an input transformer)."""
    return [_ASKED.sub(_call, line) for line in lines]


def _call(asked: re.Match[str]) -> str:
    return f"{asked[1]}get_ipython().run_line_magic('ask', {asked[2]!r})\n"
