"""A prompt as tokens: the GGUF's own chat template, with contents that can never act as control tokens."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from lorebook_api.errors import BadRequest, EngineFailed
from lorebook_daemon.engine.protocol import Message, Prompt

_PLAIN = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n\n{% endfor %}assistant:"
"""For models whose file carries no chat template."""


@dataclass(frozen=True)
class PromptTokens:
    """A prompt's tokens: what stands before the passages, each passage, and what follows."""

    head: tuple[int, ...]
    passages: tuple[tuple[int, ...], ...]
    tail: tuple[int, ...]
    texts: tuple[str, ...] = ()
    """The passages' texts."""
    soft: tuple[int, ...] = ()
    """Numbers beyond the vocabulary that stand for the vectors of soft prompts, before everything."""

    @property
    def flat(self) -> tuple[int, ...]:
        """All tokens in order."""
        return (*self.soft, *self.head, *(token for passage in self.passages for token in passage), *self.tail)

    @property
    def labelled(self) -> list[tuple[tuple[int, ...], str]]:
        """Each passage's tokens with its text."""
        return list(zip(self.passages, self.texts, strict=True))


class ChatTemplate:
    """Renders prompts with place holders for every content, so that template and contents are tokenized apart."""

    def __init__(self, source: str, bos: str, eos: str) -> None:
        """Compile the Jinja source in a sandbox; an empty one stands for plain `role: content` turns."""
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        environment.globals["raise_exception"] = _raise
        environment.filters["tojson"] = _as_json
        environment.globals["strftime_now"] = lambda form: datetime.now().astimezone().strftime(form)
        self._special = {"bos_token": bos, "eos_token": eos}
        self._knows_tools = "tools" in source
        try:
            self._template = environment.from_string(source or _PLAIN)
        except TemplateError as error:
            raise EngineFailed(f"the model's chat template cannot be read: {error}.") from error

    def tokens(self, prompt: Prompt, tokenize: Callable[[str, bool], list[int]]) -> PromptTokens:
        """Return the prompt's tokens; `tokenize(text, special)` reads control tokens only where `special` is set.

        Raises BadRequest where tools are wanted of a model that knows none, or hold a control token.
        """
        self._check_tools(prompt, tokenize)
        parts = self._render(prompt)
        last = len(prompt.messages) - 1
        head: list[int] = []
        tail: list[int] = []
        side = head
        for part in parts:
            if isinstance(part, int):
                side = tail if part == last else side
                side += tokenize(prompt.messages[part].content, False)
            else:
                side += tokenize(part, True)
        passages = tuple(tuple(tokenize(passage, False)) for passage in prompt.passages)
        return PromptTokens(tuple(head), passages, tuple(tail), prompt.passages)

    def _render(self, prompt: Prompt) -> list[str | int]:
        """Return the rendered template, with the index of a message where its content stands."""
        marks = [f"lorebookcontent{i}x" for i in range(len(prompt.messages))]
        named = {call.id: call.name for message in prompt.messages for call in message.tool_calls}
        messages = [_as_dict(message, mark, named) for message, mark in zip(prompt.messages, marks, strict=True)]
        tools = {"tools": [json.loads(tool) for tool in prompt.tools]} if prompt.tools else {}
        try:
            text = self._template.render(messages=messages, add_generation_prompt=True, **tools, **self._special)
        except TemplateError as error:
            raise BadRequest(f"the model's chat template refuses this conversation: {error}.") from error
        pieces = re.split(r"lorebookcontent(\d+)x", text)
        parts: list[str | int] = [int(piece) if i % 2 else piece for i, piece in enumerate(pieces)]
        if [part for part in parts if isinstance(part, int)][-1:] != [len(marks) - 1]:
            raise EngineFailed("the model's chat template drops the question.")
        return [part for part in parts if part != ""]

    def _check_tools(self, prompt: Prompt, tokenize: Callable[[str, bool], list[int]]) -> None:
        calls = [call for message in prompt.messages for call in message.tool_calls]
        if (prompt.tools or calls) and not self._knows_tools:
            raise BadRequest("this model's chat template knows no tools.", "Ask without tools, or take another model.")
        for text in (*prompt.tools, *(part for call in calls for part in (call.name, call.arguments))):
            if tokenize(text, True) != tokenize(text, False):
                raise BadRequest("a tool or a call holds a control token of the model.", "Take it out.")


def _as_dict(message: Message, mark: str, named: Mapping[str, str]) -> dict[str, Any]:
    """Return a message as templates know them, `mark` in the place of its content."""
    if not message.tool_calls:
        call = {"tool_call_id": message.tool_call_id, "name": named.get(message.tool_call_id, "")}
        return {"role": message.role, "content": mark, **(call if message.role == "tool" else {})}
    calls = [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": _arguments(call.arguments)}}
        for call in message.tool_calls
    ]
    return {"role": message.role, "content": mark if message.content else "", "tool_calls": calls}


def _arguments(text: str) -> Any:
    """Return a call's arguments as templates want them; what a model wrote may be no JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _as_json(value: Any, indent: int | None = None) -> str:
    """Return JSON as chat templates expect it: Jinja's own filter would escape it for HTML."""
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _raise(message: str) -> None:
    raise TemplateError(message)
