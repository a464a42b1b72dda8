"""What a cell's code says of the picture that it draws: its title and the names of its axes."""

from __future__ import annotations

import re
from collections.abc import Iterator

_TEXT = (
    r"(?P<prefix>[rRuUfF]{0,2})(?P<quote>'''|\"\"\"|['\"])(?P<text>(?:\\.|(?!(?P=quote))[^\\]){1,400})(?P=quote)"
    r"(?!\s*:)"  # which would be the key of a dictionary
)
_TITLES = frozenset({"title", "title_text", "suptitle", "ggtitle", "subplot_titles"})
_SAYS = re.compile(
    r"\b(?:set_)?(?P<what>suptitle|title|title_text|ggtitle|sup[xy]label|[xyz]label|set_label"
    r"|(?:[xyz]axis\d?|legend|coloraxis_colorbar)_title(?:_text)?)\s*(?:\(|=(?!=))\s*"
    r"(?:(?:dict\s*\(|\{)\s*['\"]?text['\"]?\s*[=:]\s*|(?:alt\.)?Title(?:Params)?\(\s*)?" + _TEXT,
    re.DOTALL,
)
"""A call or a keyword of matplotlib, pandas, seaborn, plotly, Altair or plotnine with a string."""
_LISTS = re.compile(
    r"\b(?P<what>labels\s*=\s*(?:dict\s*\(|\{)|labs\s*\(|set_axis_labels\s*\(|subplot_titles(?=\s*=)\s*=\s*[(\[])"
)
_ITEM = re.compile(r"[\s,]*(?:(?:\w{1,40}\s*=|(?P<mark>['\"])[^'\"\n]{0,100}(?P=mark)\s*:)\s*)?" + _TEXT, re.DOTALL)
"""One of several texts, with or without a name before it."""
_FIELD = re.compile(r"\{\{|\}\}|\{(?:[^{}]|\{[^{}]*\})*\}")


def caption(source: str) -> str:
    """Return the titles first, then the axes (`Revenue by month; month; EUR`); empty where the code names none.

    Of an f-string what stands in it is told, without the values.
    """
    said = [(what, text) for _, what, text in sorted([*_single(source), *_listed(source)]) if text]
    titles = [text for what, text in said if what in _TITLES]
    return "; ".join(dict.fromkeys([*titles, *(text for _, text in said)]))


def _single(source: str) -> Iterator[tuple[int, str, str]]:
    """Yield where something is said, what of, and the text."""
    for one in _SAYS.finditer(source):
        yield one.start("text"), one["what"], _told(one)


def _listed(source: str) -> Iterator[tuple[int, str, str]]:
    for start in _LISTS.finditer(source):
        what = re.split(r"\W", start["what"], maxsplit=1)[0]
        item = _ITEM.match(source, start.end())
        while item:
            yield item.start("text"), what, _told(item)
            item = _ITEM.match(source, item.end())


def _told(said: re.Match[str]) -> str:
    text = said["text"]
    if "f" in said["prefix"].lower():
        text = _FIELD.sub(lambda field: field[0][0] if field[0] in ("{{", "}}") else " ", text)
        text = text.strip(" \t\n,;:-–()") if any(map(str.isalpha, text)) else ""
    return " ".join(text.split())
