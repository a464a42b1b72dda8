"""The one way that a question travels: retrieve, assemble, read, generate, verify, answer."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from lorebook_api.asking import Answer, AskRequest, Timings, Usage
from lorebook_api.indexing import Progress
from lorebook_daemon.answer.assemble import Sheet, assemble, completed
from lorebook_daemon.answer.context.constants import unsaid_values
from lorebook_daemon.answer.context.steps import SPARE, select
from lorebook_daemon.answer.prompts import answer_prompt, ungrounded_prompt
from lorebook_daemon.answer.reading import Emit, Read, chosen, probability, read
from lorebook_daemon.answer.retrieved import Retrieved, Retriever
from lorebook_daemon.answer.sentences import without_marks
from lorebook_daemon.answer.verify import UNBACKED, verify
from lorebook_daemon.engine.protocol import Engine, Finished, Priority, Prompt, Token, Turn
from lorebook_daemon.settings import Settings

# Measured with the default model, Qwen2.5-Coder-1.5B, on samples/questions.jsonl: see benchmarks/README.md.
STATED = -0.75  # score of the best passage below which the answer is taken to stand nowhere
CLEAR = 0.6  # from here on the answer is shown while it is written; between the two it is in doubt
IN_DOUBT = 0.75  # support that an answer in doubt needs to be given at all, once it was checked
REFUTED = UNBACKED  # up to this support even an answer that was shown is taken back

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


async def ask(
    request: AskRequest,
    retriever: Retriever,
    engine: Engine,
    emit: Emit,
    settings: Settings,
    priority: Priority = Priority.ask,
) -> Answer:
    """Answer a question from the person's files, each sentence checked. Raises TooLong and the engine's errors.

    Everything that the engine does for it has the same `priority`.
    """
    clock, turn = _Clock(time.perf_counter()), Turn(priority, request.user)
    if not request.grounding:
        return await _ungrounded(request, engine, emit, clock, turn)
    retrieved = await retriever.retrieve(request.question, SPARE * request.k)
    hits = select(retrieved.hits, request.k, settings.steps)
    clock.retrieve_ms = clock.now()
    assembled = await assemble(
        request.question,
        hits,
        engine,
        settings.context_budget,
        request.max_tokens,
        retrieved.beside,
        settings.steps,
    )
    await emit("sources", [hit.source() for hit in hits])
    done = await read(request.question, assembled.sheets, engine, emit, turn)
    used = chosen(done) if done and done[0].score >= STATED else ()
    context = assembled.context(used, [one.sheet for one in done])
    blank = _answer(request, engine, retrieved, done)
    if not used:
        return replace(blank, context=context, timings=clock.timings())
    used = await completed(request.question, used, assembled.budget, engine, retrieved.beside, settings.steps)
    clear = done[0].score >= CLEAR
    prompt = answer_prompt(request.question, tuple(sheet.text for sheet in used))
    raw, end = await _generate(prompt, request, engine, emit if clear else _nobody, clock, turn)
    await emit("progress", Progress("checking the answer"))
    verified = await verify(request.question, _with_values(without_marks(raw).strip(), used), used, engine, turn)
    told = replace(blank, context=context, usage=end.usage, timings=clock.timings())
    if verified.grounded <= (REFUTED if clear else IN_DOUBT):
        return told
    if not clear:
        await emit("token", {"text": verified.text})
    return replace(
        told,
        answer=verified.text,
        abstained=False,
        grounded=verified.grounded,
        citations=verified.citations,
        claims=verified.claims,
        notices=(*told.notices, *_cut_short(end, request)),
    )


def _with_values(text: str, used: Sequence[Sheet]) -> str:
    """Return the answer, behind it the rows that set the constants which it names without their values."""
    for row in unsaid_values(text, [sheet.hit.passage for sheet in used]):
        text += f"{' ' if text.endswith(('.', '!', '?')) else chr(10)}`{row}`."
    return text


async def _nobody(event: str, body: Any) -> None:
    """Show nothing: the answer is in doubt."""


async def _generate(
    prompt: Prompt, request: AskRequest, engine: Engine, emit: Emit, clock: _Clock, turn: Turn
) -> tuple[str, Finished]:
    """Stream the answer's text; return it whole, and how it ended."""
    text, end = "", Finished("stop", Usage(), 0.0, 0.0)
    generation = engine.generate(prompt, request.sampling, request.max_tokens, request.adapters, turn)
    async with contextlib.aclosing(generation) as pieces:
        async for piece in pieces:
            if isinstance(piece, Token):
                clock.ttft_ms = clock.ttft_ms or clock.now()
                text += piece.text
                await emit("token", {"text": piece.text})
            elif isinstance(piece, Finished):
                end = piece
    return text, end


def _cut_short(end: Finished, request: AskRequest) -> tuple[str, ...]:
    """Return what to say of an answer that reached the bound on its length."""
    if end.reason == "stop":
        return ()
    return (f"The answer was cut at {request.max_tokens} tokens; a larger --max-tokens lets it go on.",)


async def _ungrounded(request: AskRequest, engine: Engine, emit: Emit, clock: _Clock, turn: Turn) -> Answer:
    """Answer from the model alone: nothing is cited, and nothing is checked."""
    text, end = await _generate(ungrounded_prompt(request.question), request, engine, emit, clock, turn)
    blank = _answer(request, engine, Retrieved((), "lexical"), ())
    return replace(
        blank,
        answer=text.strip(),
        abstained=False,
        retrieval="none",
        usage=end.usage,
        timings=clock.timings(),
        notices=_cut_short(end, request),
    )


def _answer(request: AskRequest, engine: Engine, retrieved: Retrieved, done: Sequence[Read]) -> Answer:
    """Return the answer that nothing was found, which is what stands until something is."""
    return Answer(
        answer=NOT_FOUND,
        abstained=True,
        grounded=0.0,
        citations=(),
        claims=(),
        sources=tuple(replace(one.sheet.hit.source(), score=round(probability(one.score), 4)) for one in done),
        model=engine.model,
        adapters=request.adapters,
        retrieval=retrieved.retrieval,
        notices=retrieved.notices,
        request_id=request.request_id,
    )
