"""Text completions: text or tokens in, what follows them out; with `echo`, how likely they were themselves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from lorebook_api.asking import Sampling, Usage
from lorebook_api.errors import BadRequest
from lorebook_daemon.app.events import Emit
from lorebook_daemon.app.parts import Parts
from lorebook_daemon.app.v1.choices import Choices, a_few_at_a_time
from lorebook_daemon.app.v1.grammar import grammar_of
from lorebook_daemon.app.v1.logprobs import Columns
from lorebook_daemon.app.v1.models import choose
from lorebook_daemon.app.v1.reply import Reply
from lorebook_daemon.app.v1.requests import CompletionBody
from lorebook_daemon.app.v1.sampling import samplings
from lorebook_daemon.engine.protocol import Finished, Plain, Priority, Scored, Token, Turn

JSON = dict[str, Any]

_PROMPTS_MOST = 2048


async def complete(parts: Parts, body: CompletionBody, request_id: str, emit: Emit) -> None:
    """Complete each prompt; raises LorebookError for what the request or the model cannot."""
    prompts = _prompts(body)
    drawn = samplings(body, await asyncio.to_thread(grammar_of, body), body.logprobs)
    choices = [TextChoice(logprobs=body.logprobs is not None) for _ in prompts for _ in drawn]
    reply = Reply(request_id, "text_completion", body, choices, emit)
    chosen = await choose(parts, body)
    reply.model = chosen.name
    async with parts.engines.using(chosen.model, lambda progress: None) as engine:
        asked = Choices(engine, chosen.adapters, Turn(Priority.complete, body.user or ""))
        completion = _Completion(body, drawn, asked, choices, reply)
        await a_few_at_a_time(partial(completion.of, number, prompt) for number, prompt in enumerate(prompts))
    reply.close()


class _Completion:
    """One request under way, prompt by prompt."""

    def __init__(
        self,
        body: CompletionBody,
        drawn: Sequence[Sampling],
        asked: Choices,
        choices: Sequence[TextChoice],
        reply: Reply,
    ) -> None:
        self._body, self._drawn, self._asked, self._choices, self._reply = body, drawn, asked, choices, reply

    async def of(self, number: int, prompt: Plain) -> None:
        """Say the prompt where it is to be echoed, then what follows it, in each of its choices."""
        numbers = range(number * len(self._drawn), (number + 1) * len(self._drawn))
        begun = time.perf_counter()
        scored = await self._scored(prompt)
        spent_ms = (time.perf_counter() - begun) * 1000 if scored else 0.0
        for each in numbers if self._body.echo else ():
            self._reply.say(each, self._choices[each].echo(prompt.text or _text(scored), scored))
        if self._body.max_tokens == 0:
            size = len(scored) or (await self._asked.engine.count([prompt]))[0].total
            for each in numbers:
                self._reply.take(each, Finished("length", Usage(size), spent_ms, 0.0))
            return

        def take(choice: int, piece: Token | Finished) -> None:
            if isinstance(piece, Finished) and scored:  # what was read to be scored is no work that was saved
                piece = replace(
                    piece, usage=replace(piece.usage, cached_tokens=0), prompt_ms=piece.prompt_ms + spent_ms
                )
            self._reply.take(numbers[choice], piece)

        await self._asked.answer(prompt, self._drawn, await self._asked.room(prompt, self._body.max_tokens), take)

    async def _scored(self, prompt: Plain) -> tuple[Scored, ...]:
        """Return the prompt's tokens where the echo tells of them, or where only they can tell its text."""
        if not self._body.echo or (self._body.logprobs is None and prompt.text):
            return ()
        asked = self._asked
        return await asked.engine.score(prompt, self._body.logprobs or 0, asked.adapters, asked.turn)


class TextChoice:
    """One answer: its text, and its tokens where they are wanted."""

    def __init__(self, *, logprobs: bool) -> None:
        self._tells = logprobs
        self._columns = Columns()
        self._echoes = False
        self._text = ""
        self._logprobs: JSON = {}
        self._reason = ""

    def echo(self, text: str, scored: Sequence[Scored]) -> Iterator[JSON]:
        """Begin with the prompt; yield it as an entry of a chunk's `choices`."""
        self._echoes = True
        yield self._entry(text, self._columns.add(scored, begins=True))

    def take(self, piece: Token | Finished) -> Iterator[JSON]:
        """Add a piece; yield what it says as an entry of a chunk's `choices`."""
        if isinstance(piece, Token):
            self._echoes = False
            yield self._entry(piece.text, self._columns.add(piece.scored))
            return
        self._reason = piece.reason
        # lm-eval cuts the one token off that it had to ask for beside the prompt's: an end is one too.
        ended = self._echoes and piece.reason == "stop"
        yield self._entry("", self._columns.end() if ended else self._columns.add(()))

    def whole(self) -> JSON:
        """Return all that was said as an entry of `choices`."""
        return {"text": self._text, "logprobs": self._logprobs or None, "finish_reason": self._reason}

    def _entry(self, text: str, columns: JSON) -> JSON:
        self._text += text
        told = columns if self._tells else None
        for name, column in (told or {}).items():
            self._logprobs.setdefault(name, []).extend(column)
        return {"text": text, "logprobs": told, "finish_reason": self._reason or None}


def _prompts(body: CompletionBody) -> tuple[Plain, ...]:
    """Return the prompts, of which each is text or tokens; raises BadRequest where there are none or too many."""
    given = body.prompt
    if isinstance(given, str):
        prompts: tuple[Plain, ...] = (Plain(given),)
    elif all(isinstance(one, int) for one in given):
        prompts = (Plain(tokens=tuple(one for one in given if isinstance(one, int))),)
    else:
        prompts = tuple(
            Plain(one) if isinstance(one, str) else Plain(tokens=one) for one in given if not isinstance(one, int)
        )
    if not all(prompt.text or prompt.tokens for prompt in prompts):
        raise BadRequest("prompt is empty.", "Send a text, or tokens.")
    if len(prompts) > _PROMPTS_MOST:
        raise BadRequest(f"prompt holds {len(prompts)} prompts; it takes {_PROMPTS_MOST}.", "Send several requests.")
    return prompts


def _text(scored: Sequence[Scored]) -> str:
    return b"".join(one.raw for one in scored).decode("utf-8", "replace")
