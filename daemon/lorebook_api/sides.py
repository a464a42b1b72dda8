"""The sides of an arena, as they are typed: `MODEL`, or `NAME=VALUE,...` of what a configuration may set."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any, get_args

from lorebook_api.arena import Side
from lorebook_api.errors import BadRequest
from lorebook_api.retrieval import Rerank, Rewrite
from lorebook_api.typed import find_model, find_roots, parse_adapter

AXES: dict[str, Callable[[Side, str], Side]] = {
    "model": lambda side, value: replace(side, model=find_model(value)),
    "adapter": lambda side, value: replace(side, adapters=tuple(map(parse_adapter, value.split("+")))),
    "system": lambda side, value: replace(side, system=value),
    "temperature": lambda side, value: replace(side, temperature=_number("temperature", value, float)),
    "root": lambda side, value: replace(side, roots=(*side.roots, *find_roots((value,)))),
    "k": lambda side, value: replace(side, k=_number("k", value, int)),
    "rerank": lambda side, value: replace(side, rerank=_one_of("rerank", value, get_args(Rerank))),
    "rewrite": lambda side, value: replace(side, rewrite=_one_of("rewrite", value, get_args(Rewrite))),
    "steps": lambda side, value: replace(side, context_steps=value.replace("+", ",")),
}
"""What a side may set, by name; `root` may be there several times."""

_PARTS = re.compile(rf",(?=\s*(?:{'|'.join(AXES)})=)")


def parse_side(typed: str) -> Side:
    """Return the side that `NAME=VALUE,...` or a model's name means, called as it was typed.

    Raises BadRequest, and NotFound for a folder that is not there.
    """
    if "=" not in typed:
        return Side(typed, find_model(typed))
    side = Side(typed)
    for part in _PARTS.split(typed):  # a system prompt may hold a comma
        name, equals, value = part.strip().partition("=")
        if not equals or not value or name not in AXES:
            raise BadRequest(f"{part!r} sets nothing.", f"Type NAME=VALUE, with a name of: {', '.join(AXES)}.")
        side = AXES[name](side, value)
    return side


def _number(name: str, value: str, kind: type[Any]) -> Any:
    try:
        return kind(value)
    except ValueError:
        raise BadRequest(f"{name} is {value!r}; it takes a number.") from None


def _one_of(name: str, value: str, values: tuple[str, ...]) -> Any:
    if value not in values:
        raise BadRequest(f"{name} is {value!r}.", f"It takes: {', '.join(values)}.")
    return value
