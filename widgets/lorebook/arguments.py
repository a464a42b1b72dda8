"""The options at the start of `%ask` and `%%ask`."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import cast

from lorebook.context import CONTEXTS, VARIABLE
from lorebook_api.errors import BadRequest
from lorebook_api.retrieval import Filters, Kind
from lorebook_api.typed import K_MOST, MAX_TOKENS_MOST, find_filters

_WORD = re.compile(r"""\s*("[^"]*"|'[^']*'|\S+)""")
_OPTION = re.compile(r"\s*(--?[A-Za-z][\w-]*)(?:=|(?=\s|$))")
HINT = "Type: %lore help"


@dataclass(frozen=True)
class AskOptions:
    """What was asked for beside the question; None and empty take the magics' defaults."""

    roots: tuple[str, ...] = ()
    adapters: tuple[str, ...] = ()
    model: str | None = None
    k: int | None = None
    max_tokens: int | None = None
    grounding: bool = True
    context: tuple[str, ...] = ()
    """What goes along: words of `lorebook.context.CONTEXTS`, and `var:NAME`."""
    filters: Filters = field(default_factory=Filters)
    """What may be looked at."""


def parse_options(line: str) -> tuple[AskOptions, str]:
    """Return the options that `line` starts with, and the rest of it; `--` ends the options.

    Raises BadRequest for an option that is not known, that has no value, or whose number is out of its range.
    """
    options = AskOptions()
    while match := _OPTION.match(line):
        name, line = match[1], line[match.end() :]
        if name == "--no-grounding":
            options = replace(options, grounding=False)
            continue
        if name not in OPTIONS:
            raise BadRequest(f"{name} is not an option of %ask.", HINT)
        word = _WORD.match(line)
        if word is None:
            raise BadRequest(f"{name} wants a value.", HINT)
        options, line = OPTIONS[name](options, _unquoted(word[1])), line[word.end() :]
    return options, re.sub(r"^\s*--(\s|$)", "", line).strip()


def _unquoted(word: str) -> str:
    return word[1:-1] if len(word) > 1 and word[0] == word[-1] and word[0] in "\"'" else word


def _number(name: str, value: str, most: int) -> int:
    if not value.isascii() or not value.isdigit() or not 1 <= int(value) <= most:
        raise BadRequest(f"{name} is {value}; it takes 1 to {most}.", HINT)
    return int(value)


def _contexts(value: str) -> tuple[str, ...]:
    words = tuple(word for word in value.split(",") if word)
    for word in words:
        if word not in CONTEXTS:
            raise BadRequest(f"--context {word} is not known; it takes {', '.join(CONTEXTS)}.", HINT)
    return words


def _within(options: AskOptions, more: Filters) -> AskOptions:
    known = options.filters
    both = Filters(
        known.paths + more.paths,
        known.kinds + more.kinds,
        known.languages + more.languages,
        more.modified_since or known.modified_since,
        known.notebooks + more.notebooks,
        known.tags + more.tags,
    )
    return replace(options, filters=both)


OPTIONS: dict[str, Callable[[AskOptions, str], AskOptions]] = {
    "--root": lambda options, value: replace(options, roots=(*options.roots, value)),
    "--adapter": lambda options, value: replace(options, adapters=(*options.adapters, value)),
    "--model": lambda options, value: replace(options, model=value),
    "--context": lambda options, value: replace(options, context=(*options.context, *_contexts(value))),
    "--var": lambda options, value: replace(options, context=(*options.context, VARIABLE + value)),
    "--path": lambda options, value: _within(options, find_filters(paths=[value])),
    "--kind": lambda options, value: _within(options, find_filters(kinds=[cast(Kind, value)])),
    "--language": lambda options, value: _within(options, find_filters(languages=[value])),
    "--since": lambda options, value: _within(options, find_filters(since=value)),
    "--notebook": lambda options, value: _within(options, find_filters(notebooks=[value])),
    "--tag": lambda options, value: _within(options, find_filters(tags=[value])),
    "-k": lambda options, value: replace(options, k=_number("-k", value, K_MOST)),
    "--max-tokens": lambda options, value: replace(options, max_tokens=_number("--max-tokens", value, MAX_TOKENS_MOST)),
}
