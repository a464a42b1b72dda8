"""Tools: what the model is told of them, and the grammar where a call is forced: `<tool_call>{…}</tool_call>`.

That is how Qwen's and the Hermes models' chat templates write calls; the others that are understood are in `callforms`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field

from lorebook_api.errors import BadRequest
from lorebook_daemon.app.v1.callforms import END_TAG, TAG, Offered
from lorebook_daemon.app.v1.gbnf import Rules, literal
from lorebook_daemon.app.v1.grammar import check_schema, grammar_of, json_expression, wants_json
from lorebook_daemon.app.v1.requests import ChatBody, NamedTool, Tool
from lorebook_daemon.app.v1.schema_grammar import SchemaGrammar

_CALLS_MOST = 16


@dataclass(frozen=True)
class Toolbox:
    """The functions that an answer may call, and what follows from how they were offered."""

    told: tuple[str, ...] = ()
    """Each as JSON, for the prompt."""
    offered: Offered = field(default_factory=dict)
    grammar: str = ""
    """What the answer must follow, empty where it is free."""
    several: bool = True
    """Whether there may be more calls than one."""

    @property
    def stops(self) -> tuple[str, ...]:
        """What ends the answer after its first call, where only one is wanted."""
        return () if self.several else (END_TAG,)


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
        offered={tool.function.name: tool.function.parameters or {} for tool in body.tools},
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
    before = f'{TAG}\n{{"name": {json.dumps(tool.function.name)}, "arguments": '
    return f"{literal(before)} {arguments} {literal('}' + chr(10) + END_TAG)}"
