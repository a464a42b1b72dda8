"""Tools: what the model is told of them, and its calls, `<tool_call>{…}</tool_call>`, found in what it says.

That is how Qwen's and the Hermes models' chat templates write calls.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from lorebook_api.errors import BadRequest
from lorebook_daemon.app.v1.gbnf import Rules, literal
from lorebook_daemon.app.v1.grammar import check_schema, grammar_of, json_expression, wants_json
from lorebook_daemon.app.v1.requests import ChatBody, NamedTool, Tool
from lorebook_daemon.app.v1.schema_grammar import SchemaGrammar
from lorebook_daemon.engine.protocol import ToolCall

_OPEN, _CLOSE = "<tool_call>", "</tool_call>"
_CALLS_MOST = 16
_MAY_OPEN = re.compile(r"\s*(?:<(?:t(?:o(?:o(?:l(?:_(?:c(?:a(?:l(?:l)?)?)?)?)?)?)?)?)?)?$")
"""The end of a text that may become the beginning of a call, and the space before it."""
_MAY_BE_CALL = re.compile(r"\s*(?:\{.*|(?:`{1,2}|```(?:j|js|jso|json)?\s*(?:\{.*)?)?)$", re.DOTALL)
"""The beginning of an answer that may be nothing but a call."""
_FENCED = re.compile(r"\s*```(?:json)?\s*(\{.*\})\s*```\s*", re.DOTALL)


@dataclass(frozen=True)
class Toolbox:
    """The functions that an answer may call, and what follows from how they were offered."""

    told: tuple[str, ...] = ()
    """Each as JSON, for the prompt."""
    names: frozenset[str] = frozenset()
    grammar: str = ""
    """What the answer must follow, empty where it is free."""
    several: bool = True
    """Whether there may be more calls than one."""

    @property
    def stops(self) -> tuple[str, ...]:
        """What ends the answer after its first call, where only one is wanted."""
        return () if self.several else (_CLOSE,)


def toolbox(body: ChatBody) -> Toolbox:
    """Return what the request offers, and the grammar that it asks for.

    Raises BadRequest for a schema that is none, a name that stands twice, a choice of what is not there. Takes a
    moment: not for the event loop's thread.
    """
    if not body.tools or body.tool_choice == "none":
        return Toolbox(grammar=grammar_of(body))
    names = [tool.function.name for tool in body.tools]
    if len(set(names)) < len(names):
        raise BadRequest("tools holds two functions of one name.", "Give each a name of its own.")
    for tool in body.tools:
        check_schema(tool.function.parameters or {}, f"the parameters of {tool.function.name}")
    return Toolbox(
        told=tuple(_told(tool) for tool in body.tools),
        names=frozenset(names),
        grammar=_grammar(body, body.tools),
        several=body.parallel_tool_calls is not False,
    )


def _told(tool: Tool) -> str:
    return json.dumps(tool.model_dump(exclude_none=True, exclude={"function": {"strict"}}), ensure_ascii=False)


def _grammar(body: ChatBody, tools: tuple[Tool, ...]) -> str:
    """Return the grammar of the calls that must come, or may come in place of JSON; empty for a free answer."""
    if body.grammar is not None:
        raise BadRequest("grammar and tools exclude each other.", "Send tool_choice: none with it.")
    choice = body.tool_choice
    rules = Rules()
    if isinstance(choice, NamedTool):
        tools = tuple(tool for tool in tools if tool.function.name == choice.function.name)
        if not tools:
            raise BadRequest("tool_choice names a function that is not in tools.", "Name one that is.")
        return rules.text(_calls(tools, rules, several=False))
    several = body.parallel_tool_calls is not False
    if choice == "required":
        return rules.text(_calls(tools, rules, several=several))
    if wants_json(body):
        return rules.text(f"{json_expression(body, rules)} | {_calls(tools, rules, several=several)}")
    return ""


def _calls(tools: Iterable[Tool], rules: Rules, *, several: bool) -> str:
    call = rules.add(" | ".join(_call(tool, rules) for tool in tools))
    return f'{call} ("\\n" {call}){{0,{_CALLS_MOST - 1}}}' if several else call


def _call(tool: Tool, rules: Rules) -> str:
    schema = {"type": "object", **(tool.function.parameters or {})}
    arguments = SchemaGrammar(schema, rules, strict=bool(tool.function.strict)).expression()
    before = f'{_OPEN}\n{{"name": {json.dumps(tool.function.name)}, "arguments": '
    return f"{literal(before)} {arguments} {literal('}' + chr(10) + _CLOSE)}"


class ToolReader:
    """Takes an answer as it comes and tells text from calls.

    An answer that is nothing but a call is one without its tags too: Qwen's coder models forget them. A call of a
    function that was not offered, or that is no JSON, stays text: nothing that the model said is lost.
    """

    def __init__(self, names: frozenset[str], *, several: bool = True) -> None:
        """Look for calls of `names`; unless `several`, the first one is all."""
        self._names = names
        self._several = several
        self._held = ""
        self._inside = False
        self._began = False
        self._calls = 0

    def feed(self, text: str) -> Iterator[str | ToolCall]:
        """Yield what is certain now: text, and whole calls."""
        if not self._names:
            yield text
            return
        self._held += text
        while True:
            mark = _CLOSE if self._inside else _OPEN
            before, found, after = self._held.partition(mark)
            if not found:
                break
            self._held, self._inside = after, not self._inside
            yield from self._call(before, _CLOSE) if mark == _CLOSE else self._said(before.rstrip())
        if not self._inside and (self._began or not _MAY_BE_CALL.match(self._held)):
            may_open = _MAY_OPEN.search(self._held)
            certain = self._held[: may_open.start()] if may_open else self._held
            self._held = self._held[len(certain) :]
            yield from self._said(certain)

    def finish(self) -> Iterator[str | ToolCall]:
        """Yield what was held back: a call may lack its end, where the end is what stopped the answer."""
        held, self._held = self._held, ""
        if self._inside:
            yield from self._call(held, "")
            return
        calls = () if self._began else _untagged(held, self._names)
        yield from self._counted(calls) if calls else self._said(held)

    def _said(self, text: str) -> Iterator[str]:
        if text and not (self._calls and text.isspace()):  # what stands between calls is no content
            self._began = True
            yield text

    def _call(self, text: str, end: str) -> Iterator[str | ToolCall]:
        self._began = True
        call = _parsed(text, self._names)
        yield from self._counted([call]) if call else [f"{_OPEN}{text}{end}"]

    def _counted(self, calls: Sequence[ToolCall]) -> Iterator[ToolCall]:
        for call in calls:
            self._calls += 1
            if self._several or self._calls == 1:
                yield call


def _untagged(text: str, names: frozenset[str]) -> list[ToolCall]:
    """Return the calls that a text consists of, one on each line or one fenced; none where it is anything else."""
    fenced = _FENCED.fullmatch(text)
    rest = (fenced.group(1) if fenced else text).strip()
    calls = []
    while rest:
        try:
            _, end = json.JSONDecoder().raw_decode(rest)
        except (ValueError, RecursionError):
            return []
        call = _parsed(rest[:end], names)
        if call is None:
            return []
        calls.append(call)
        rest = rest[end:].lstrip()
    return calls


def _parsed(text: str, names: frozenset[str]) -> ToolCall | None:
    try:
        call = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(call, dict) or call.get("name") not in names:
        return None
    arguments = call.get("arguments", {})
    written = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return ToolCall(f"call_{uuid.uuid4().hex[:24]}", call["name"], written)
