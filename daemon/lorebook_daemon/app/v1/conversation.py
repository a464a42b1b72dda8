"""A chat's messages as a prompt for the engine."""

from __future__ import annotations

from lorebook_api.errors import BadRequest
from lorebook_daemon.app.v1.requests import ChatMessage, Part
from lorebook_daemon.engine.protocol import Message, Prompt, ToolCall


def conversation(messages: tuple[ChatMessage, ...], tools: tuple[str, ...]) -> Prompt:
    """Return the prompt; raises BadRequest for content that is not text and for a result of no call."""
    return Prompt(tuple(_message(message) for message in messages), tools=tools)


def _message(message: ChatMessage) -> Message:
    if message.role == "tool" and not message.tool_call_id:
        raise BadRequest("A tool message says no tool_call_id.", "Send the id of the call that it answers.")
    calls = tuple(ToolCall(call.id, call.function.name, call.function.arguments) for call in message.tool_calls or ())
    return Message(
        role="system" if message.role == "developer" else message.role,
        content=_text(message.content),
        tool_calls=calls,
        tool_call_id=message.tool_call_id or "",
    )


def _text(content: str | tuple[Part, ...] | None) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    return "\n".join(_part(part) for part in content)


def _part(part: Part) -> str:
    text = part.refusal if part.type == "refusal" else part.text
    if part.type not in ("text", "refusal") or text is None:
        hint = "Send parts of type text: no model here reads images, sound or files."
        raise BadRequest(f"A message's content holds a part of type {ascii(part.type)[:40]}.", hint)
    return text
