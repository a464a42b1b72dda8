"""Chat completions: a conversation in, messages out."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any

from lorebook_daemon.app.events import Emit
from lorebook_daemon.app.parts import Parts
from lorebook_daemon.app.v1.choices import Choices
from lorebook_daemon.app.v1.conversation import conversation
from lorebook_daemon.app.v1.logprobs import of_chat
from lorebook_daemon.app.v1.models import choose
from lorebook_daemon.app.v1.reply import Reply
from lorebook_daemon.app.v1.requests import ChatBody
from lorebook_daemon.app.v1.sampling import samplings
from lorebook_daemon.app.v1.toolreader import ToolReader
from lorebook_daemon.app.v1.tools import toolbox
from lorebook_daemon.engine.protocol import Finished, Priority, Scored, Token, ToolCall, Turn

JSON = dict[str, Any]


async def chat(parts: Parts, body: ChatBody, request_id: str, emit: Emit) -> None:
    """Answer a conversation; raises LorebookError for what the request or the model cannot."""
    box = await asyncio.to_thread(toolbox, body)
    prompt = conversation(body.messages, box.told)
    drawn = samplings(body, box.grammar, body.top, box.stops)
    choices = [ChatChoice(ToolReader(box.offered, several=box.several), logprobs=bool(body.logprobs)) for _ in drawn]
    reply = Reply(request_id, "chat.completion", body, choices, emit)
    chosen = await choose(parts, body)
    reply.model = chosen.name
    async with parts.engines.using(chosen.model, lambda progress: None) as engine:
        asked = Choices(engine, chosen.adapters, Turn(Priority.complete, body.user or ""))
        await asked.answer(prompt, drawn, await asked.room(prompt, body.most), reply.take)
    reply.close()


class ChatChoice:
    """One answer: its text, the calls in it, and the tokens of both where they are wanted."""

    def __init__(self, reader: ToolReader, *, logprobs: bool) -> None:
        self._reader = reader
        self._logprobs = logprobs
        self._begun = False
        self._text = ""
        self._calls: list[ToolCall] = []
        self._scored: list[Scored] = []
        self._untold: list[Scored] = []
        self._reason = ""

    def take(self, piece: Token | Finished) -> Iterator[JSON]:
        """Add a piece; yield what it says as entries of chunks' `choices`."""
        if not self._begun:
            self._begun = True
            yield self._entry({"role": "assistant", "content": ""})
        if isinstance(piece, Token):
            self._untold += piece.scored
            yield from self._said(self._reader.feed(piece.text))
            return
        yield from self._said(self._reader.finish())
        self._reason = "tool_calls" if self._calls and piece.reason == "stop" else piece.reason
        yield self._entry({})

    def whole(self) -> JSON:
        """Return all that was said as an entry of `choices`."""
        message: JSON = {"role": "assistant", "content": self._text or None if self._calls else self._text}
        if self._calls:
            message["tool_calls"] = [_called(call) for call in self._calls]
        logprobs = of_chat(self._scored) if self._logprobs else None
        return {"message": {**message, "refusal": None}, "logprobs": logprobs, "finish_reason": self._reason}

    def _said(self, said: Iterable[str | ToolCall]) -> Iterator[JSON]:
        for one in said:
            if isinstance(one, str):
                self._text += one
                yield self._entry({"content": one})
            else:
                self._calls.append(one)
                yield self._entry({"tool_calls": [{"index": len(self._calls) - 1, **_called(one)}]})

    def _entry(self, delta: JSON) -> JSON:
        """Return the next entry, with the tokens that no entry told of yet."""
        told, self._untold = self._untold, []
        self._scored += told
        return {
            "delta": delta,
            "logprobs": of_chat(told) if self._logprobs and told else None,
            "finish_reason": self._reason or None,
        }


def _called(call: ToolCall) -> JSON:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
