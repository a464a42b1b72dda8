"""Grammars in llama.cpp's notation (GBNF): made rule by rule, or a client's own, bounded before the engine reads it."""

from __future__ import annotations

import re

from lorebook_api.errors import BadRequest

_SIZE_MOST = 256 * 1024
_DEPTH_MOST = 256
"""Parentheses in each other: llama.cpp's parser calls itself for each, and some 20,000 end the engine's process."""

_NO_SYNTAX = re.compile(r'"(?:\\.|[^"\\])*"|\[(?:\\.|[^\]\\])*\]|#[^\n]*')
"""Literals, characters in brackets, comments."""


def checked(grammar: str) -> str:
    """Return a client's grammar; raises BadRequest for one that is too large or nested too deeply to be read safely."""
    if not grammar.strip():
        raise BadRequest("grammar is empty.", "Leave it out, or send GBNF with a rule `root`.")
    if len(grammar) > _SIZE_MOST:
        raise BadRequest(f"grammar is longer than {_SIZE_MOST // 1024} kB.", "Send a smaller one.")
    depth = 0
    for bracket in re.findall("[()]", _NO_SYNTAX.sub("", grammar)):
        depth += 1 if bracket == "(" else -1
        if depth > _DEPTH_MOST:
            raise BadRequest(f"grammar nests more than {_DEPTH_MOST} parentheses.", "Make rules of them.")
    return grammar


class Rules:
    """The rules of a grammar under way: equal ones are written once."""

    def __init__(self) -> None:
        self._bodies: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self._size = 0

    def add(self, body: str) -> str:
        """Return the name of the rule with this body."""
        if body not in self._names:
            name = self.reserve()
            self.define(name, body)
            self._names[body] = name
        return self._names[body]

    def reserve(self) -> str:
        """Return the name of a rule that `define` gives its body later, so that a rule can name itself."""
        name = f"r{len(self._bodies)}"
        self._bodies[name] = ""
        return name

    def define(self, name: str, body: str) -> None:
        """Give a reserved rule its body; raises BadRequest where the grammar grows too large."""
        self._bodies[name] = body
        self._size += len(name) + len(body)
        if self._size > _SIZE_MOST:
            raise BadRequest("The schema is too large for a grammar.", "Send a smaller one.")

    def text(self, root: str) -> str:
        """Return the whole grammar, which begins with the expression `root`."""
        return "\n".join([f"root ::= {root}", *(f"{name} ::= {body}" for name, body in self._bodies.items())])


def literal(text: str) -> str:
    """Return the expression for exactly `text`."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'
