"""What a cell's code says of the picture that it draws: its title and the names of its axes."""

from __future__ import annotations

import re

_SAYS = re.compile(
    r"\b(?:set_)?(?P<what>suptitle|title|xlabel|ylabel|zlabel|set_label)\s*(?:\(|=(?!=))\s*"
    r"(?P<quote>'''|\"\"\"|['\"])(?P<text>.+?)(?<!\\)(?P=quote)",
    re.DOTALL,
)
"""A call or a keyword of matplotlib, pandas, seaborn or plotly with a plain string; an f-string is passed over."""


def caption(source: str) -> str:
    """Return the titles first, then the axes (`Revenue by month; month; EUR`); empty where the code names none."""
    said = [(one["what"], " ".join(one["text"].split())) for one in _SAYS.finditer(source)]
    titles = [text for what, text in said if what.endswith("title")]
    return "; ".join(dict.fromkeys([*titles, *(text for _, text in said)]))
