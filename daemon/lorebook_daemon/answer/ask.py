"""The one way that a question travels: retrieve, assemble, read, generate, verify, answer."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from lorebook_api.schema import Answer, AskRequest, Progress, Timings, Usage
from lorebook_daemon.answer.assemble import Assembled, Sheet, assemble
from lorebook_daemon.answer.prompts import answer_prompt, stated_prompt, ungrounded_prompt
from lorebook_daemon.answer.retrieved import Retrieved, Retriever
from lorebook_daemon.answer.sentences import without_marks
from lorebook_daemon.answer.verify import verify
from lorebook_daemon.engine.protocol import Engine, Finished, Prompt, Token
from lorebook_daemon.settings import Settings

Emit = Callable[[str, Any], Awaitable[None]]
"""Takes an event's name (`progress`, `sources`, `token`) and its body."""

STATED = 0.0
"""logit(Yes) - logit(No) from which a passage is taken to state the answer."""

_USED = 3
"""Passages that the answer is written from at the most: a small model is distracted by more."""

NOT_FOUND = "I did not find the answer to this in your files."


@dataclass
class _Clock:
    """When the request came and what came when, in milliseconds."""

    start: float
    retrieve_ms: float = 0.0
    ttft_ms: float = 0.0

    def now(self) -> float:
        return (time.perf_counter() - self.start) * 1000

    def timings(self) -> Timings:
        return Timings(round(self.retrieve_ms, 1), round(self.ttft_ms, 1), round(self.now(), 1))


async def ask(request: AskRequest, retriever: Retriever, engine: Engine, emit: Emit, settings: Settings) -> Answer:
    """Answer a question from the person's files, each sentence checked. Raises TooLong and the engine's errors."""
    clock = _Clock(time.perf_counter())
    if not request.grounding:
        return await _ungrounded(request, engine, emit, clock)
    retrieved = await retriever.retrieve(request.question, request.k)
    clock.retrieve_ms = clock.now()
    assembled = await assemble(request.question, retrieved.hits, engine, settings.context_budget, request.max_tokens)
    await emit("sources", [hit.source() for hit in retrieved.hits])
    used = await _read(request, assembled, engine, emit)
    blank = _answer(request, engine, retrieved)
    if not used:
        return replace(blank, timings=clock.timings(), context=assembled.context(()))
    prompt = answer_prompt(request.question, tuple(sheet.text for sheet in used))
    raw, usage = await _generate(prompt, request, engine, emit, clock)
    verified = await verify(request.question, without_marks(raw).strip(), used, engine, request.adapters)
    return replace(
        blank,
        answer=verified.text,
        abstained=False,
        grounded=verified.grounded,
        citations=verified.citations,
        claims=verified.claims,
        usage=usage,
        timings=clock.timings(),
        context=assembled.context(used),
    )


async def _read(request: AskRequest, assembled: Assembled, engine: Engine, emit: Emit) -> tuple[Sheet, ...]:
    """Have the model read each passage, and return those that state the answer, the surest first."""
    scores: list[float] = []
    for i, sheet in enumerate(assembled.sheets):
        await emit("progress", Progress("reading passages", i, len(assembled.sheets)))
        scores += await engine.judge([stated_prompt(request.question, sheet.text)], request.adapters)
    ranked = sorted(zip(scores, assembled.sheets, strict=True), key=lambda pair: -pair[0])
    return tuple(sheet for score, sheet in ranked[:_USED] if score >= STATED)


async def _generate(
    prompt: Prompt, request: AskRequest, engine: Engine, emit: Emit, clock: _Clock
) -> tuple[str, Usage]:
    """Stream the answer's text; return it whole, with the tokens it took."""
    text, usage = "", Usage()
    generation = engine.generate(prompt, request.sampling, request.max_tokens, request.adapters)
    async with contextlib.aclosing(generation) as pieces:
        async for piece in pieces:
            if isinstance(piece, Token):
                clock.ttft_ms = clock.ttft_ms or clock.now()
                text += piece.text
                await emit("token", {"text": piece.text})
            elif isinstance(piece, Finished):
                usage = piece.usage
    return text, usage


async def _ungrounded(request: AskRequest, engine: Engine, emit: Emit, clock: _Clock) -> Answer:
    """Answer from the model alone: nothing is cited, and nothing is checked."""
    text, usage = await _generate(ungrounded_prompt(request.question), request, engine, emit, clock)
    blank = _answer(request, engine, Retrieved((), "lexical"))
    return replace(blank, answer=text.strip(), abstained=False, retrieval="none", usage=usage, timings=clock.timings())


def _answer(request: AskRequest, engine: Engine, retrieved: Retrieved) -> Answer:
    """Return the answer that nothing was found, which is what stands until something is."""
    return Answer(
        answer=NOT_FOUND,
        abstained=True,
        grounded=0.0,
        citations=(),
        claims=(),
        sources=tuple(hit.source() for hit in retrieved.hits),
        model=engine.model,
        adapters=request.adapters,
        retrieval=retrieved.retrieval,
        notices=retrieved.notices,
        request_id=request.request_id,
    )
