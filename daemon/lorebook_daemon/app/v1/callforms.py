"""The forms in which models write calls of functions: what stands around them, and what is read from in between.

Most are JSON, `{"name": …, "arguments": {…}}`; Llama 3 says `parameters`.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lorebook_daemon.engine.protocol import ToolCall

Offered = Mapping[str, Mapping[str, Any]]
"""The functions that may be called: of each name the JSON schema of its parameters."""

TAG, END_TAG = "<tool_call>", "</tool_call>"
_LISTED = "[TOOL_CALLS]"
_ARGUMENTS = ("arguments", "parameters")
_FENCED = re.compile(r"\s*```(?:json)?\s*(\{.*\})\s*```\s*", re.DOTALL)
_NAMED = re.compile(r"\s*([\w.-]+)\s*(?:\[CALL_ID\]\s*\w+\s*)?\[ARGS\]")
_TAGGED = re.compile(r"\s*<function=(.*?)</function>\s*", re.DOTALL)
_PARAMETER = re.compile(r"\s*<parameter=([^>\n]+)>\n?(.*?)\n?</parameter>\s*", re.DOTALL)


@dataclass(frozen=True)
class Form:
    """One way to write calls."""

    opens: str
    closes: str
    """Empty where all that follows belongs to the calls."""
    read: Callable[[str, Offered], Sequence[ToolCall]]
    """Returns the calls that the text between the marks consists of; none where it is anything else."""
    may_lack_end: bool = True
    """Whether the closing mark may be missing at the end of the answer, which it may have stopped."""


def bare_calls(text: str, offered: Offered) -> list[ToolCall]:
    """Return the calls that a text consists of without any mark: JSON, one after the other, or one that is fenced."""
    fenced = _FENCED.fullmatch(text)
    return _in_turn(fenced.group(1) if fenced else text, offered)


def _in_turn(text: str, offered: Offered) -> list[ToolCall]:
    """Return the calls of JSON objects that follow one another, with semicolons between them or without."""
    calls, rest = list[ToolCall](), text.strip()
    while rest:
        try:
            written, end = json.JSONDecoder().raw_decode(rest)
        except (ValueError, RecursionError):
            return []
        call = _call(written, offered)
        if call is None:
            return []
        calls.append(call)
        rest = rest[end:].lstrip("; \t\r\n")
    return calls


def _tagged(text: str, offered: Offered) -> list[ToolCall]:
    """Return the calls between Qwen's and Hermes' tags: one in JSON, or Qwen3-Coder's functions."""
    if not _TAGGED.match(text):
        call = _call(_json(text), offered)
        return [call] if call else []
    calls, at = list[ToolCall](), 0
    while at < len(text):
        found = _TAGGED.match(text, at)
        call = _function(found.group(1), offered) if found else None
        if found is None or call is None:
            return []
        calls.append(call)
        at = found.end()
    return calls


def _alone(text: str, offered: Offered) -> list[ToolCall]:
    call = _function(text, offered)
    return [call] if call else []


def _function(text: str, offered: Offered) -> ToolCall | None:
    """Return the call in `NAME>{…}`, or in `NAME>` and a tag for each parameter."""
    name, _, body = text.partition(">")
    if name not in offered:
        return None
    if body.lstrip().startswith("{"):
        return _call(_named(name, body), offered)
    values, at = dict[str, Any](), 0
    while found := _PARAMETER.match(body, at):
        values[found.group(1)] = _value(found.group(2), offered[name], found.group(1))
        at = found.end()
    if body[at:].strip():
        return None
    return _call({"name": name, "arguments": values}, offered)


def _value(text: str, schema: Mapping[str, Any], name: str) -> Any:
    """Return a parameter that was written without quotes: text where it may be one, else JSON where it is that."""
    properties = schema.get("properties")
    if _takes_text(properties.get(name) if isinstance(properties, dict) else None):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _takes_text(schema: Any) -> bool:
    if not isinstance(schema, dict):
        return False
    types, choices = schema.get("type"), [*(schema.get("anyOf") or ()), *(schema.get("oneOf") or ())]
    return types == "string" or (isinstance(types, list) and "string" in types) or any(map(_takes_text, choices))


def _listed(text: str, offered: Offered) -> list[ToolCall]:
    """Return the calls of Mistral's models: a list, or since 2025 each after a mark as `NAME[ARGS]{…}`."""
    written: list[Any] = []
    for part in text.split(_LISTED):
        named = _NAMED.match(part)
        told = [_named(named.group(1), part[named.end() :])] if named else _json(part)
        written += told if isinstance(told, list) and told else [None]
    calls = [call for one in written if (call := _call(one, offered))]
    return calls if len(calls) == len(written) else []


def _named(name: str, text: str) -> Any:
    """Return a call whose name stands before the JSON of its arguments; None where that is none."""
    arguments = _json(text)
    return {"name": name, "arguments": arguments} if isinstance(arguments, dict) else None


def _call(written: Any, offered: Offered) -> ToolCall | None:
    """Return the call of an offered function; None for anything else, and where its arguments have another name."""
    name = written.get("name") if isinstance(written, dict) else None
    if not isinstance(name, str) or name not in offered:
        return None
    key = next((key for key in _ARGUMENTS if key in written), None)
    if key is None and len(written) > 1:
        return None
    arguments = {} if key is None or written[key] is None else written[key]
    told = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return ToolCall(f"call_{uuid.uuid4().hex[:24]}", name, told)


def _json(text: str) -> Any:
    """Return what JSON says, None where a text is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


FORMS = (
    Form(TAG, END_TAG, _tagged),  # Qwen, Hermes
    Form("<function=", "</function>", _alone, may_lack_end=False),  # Llama 3.1, Qwen3-Coder
    Form("<|python_tag|>", "", _in_turn),  # Llama 3.1 to 3.3
    Form(_LISTED, "", _listed),  # Mistral
)
