"""The routes of the arena: two sides answer one question, somebody votes without knowing who is who."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import APIRouter

from lorebook_api.arena import (
    Battle,
    BattleRequest,
    Preference,
    Revealed,
    Side,
    Standings,
    VoteRequest,
)
from lorebook_api.asking import Sampling
from lorebook_api.errors import BadRequest
from lorebook_api.evaluation import RagRequest
from lorebook_api.indexing import Progress
from lorebook_daemon.app.checks import check_adapters, check_text
from lorebook_daemon.app.engines import Report
from lorebook_daemon.app.evalroom import Taken
from lorebook_daemon.app.events import Emit, EventStream
from lorebook_daemon.app.parts import Parts
from lorebook_daemon.app.ragging import Ground, answering, check_rag
from lorebook_daemon.app.taking import found_model
from lorebook_daemon.engine.protocol import ASKING, Message, Prompt, Turn
from lorebook_daemon.evaluate.arenastore import preferences
from lorebook_daemon.evaluate.diversity import said
from lorebook_daemon.evaluate.task import Subject

_TOKENS_MOST = 4096
_NAME_LONGEST = 200
_UNGROUNDED = (6, "none", "none", "default")
"""How a side looks things up that says nothing about it."""


def arena_routes(parts: Parts) -> APIRouter:
    """Return the routes below `/api/eval/arena`."""
    router = APIRouter(prefix="/api/eval/arena")
    kept = parts.evaluations.arena

    @router.post("/battle")
    async def battle(request: BattleRequest) -> EventStream:
        """Send `progress`, then `done` with a Battle."""
        check_text("question", request.question)
        check_sides(parts, request.sides, request.max_tokens)
        return EventStream(lambda emit: _battle(parts, request, emit), uuid.uuid4().hex, parts.running)

    @router.post("/vote")
    async def voted(request: VoteRequest) -> Revealed:
        return await asyncio.to_thread(kept.vote, request.battle, request.winner)

    @router.get("")
    async def rated() -> Standings:
        return await asyncio.to_thread(parts.evaluations.standings)

    @router.get("/preferences")
    async def pairs() -> dict[str, tuple[Preference, ...]]:
        return {"preferences": await asyncio.to_thread(lambda: preferences(kept.fought()))}

    @router.delete("")
    async def forget() -> dict[str, int]:
        return {"forgotten": await parts.evaluations.forget_votes()}

    return router


def check_sides(parts: Parts, sides: tuple[Side, Side], max_tokens: int) -> None:
    """Raise BadRequest or NotFound where two sides cannot compete."""
    if not 1 <= max_tokens <= _TOKENS_MOST:
        raise BadRequest(f"max_tokens is {max_tokens}; it takes 1 to {_TOKENS_MOST}.")
    for side in sides:
        check_text("the name of a side", side.name)
        if len(side.name) > _NAME_LONGEST:
            raise BadRequest(f"The name of a side is longer than {_NAME_LONGEST} characters.", "Shorten it.")
        check_adapters(side.adapters)
        if not 0.0 <= side.temperature <= 100.0:  # true for NaN too
            raise BadRequest(f"temperature is {side.temperature}; it takes 0 to 100.")
        _check_grounding(parts, side, max_tokens)
    if sides[0].name == sides[1].name:
        raise BadRequest(f"Both sides are called {sides[0].name!r}.", "Let two different configurations compete.")


def _check_grounding(parts: Parts, side: Side, max_tokens: int) -> None:
    if side.roots:
        check_rag(parts, _by_files(side, max_tokens))
        if side.system.strip():
            raise BadRequest(f"The side {side.name!r} has a system prompt and folders.", "Give it one of them.")
    elif (side.k, side.rerank, side.rewrite, side.context_steps) != _UNGROUNDED:
        raise BadRequest(f"The side {side.name!r} looks nothing up.", "Name the folders: root=DIR")


def _by_files(side: Side, max_tokens: int) -> RagRequest:
    """Return what a side with folders answers by."""
    return RagRequest(
        path="",
        roots=side.roots,
        k=side.k,
        rerank=side.rerank,
        rewrite=side.rewrite,
        context_steps=side.context_steps,
        max_tokens=max_tokens,
        model=side.model,
        adapters=side.adapters,
    )


@asynccontextmanager
async def grounded(
    parts: Parts, sides: tuple[Side, Side], max_tokens: int, report: Report
) -> AsyncGenerator[Mapping[str, Ground], None]:
    """Open what the sides look things up in before either answers: who waits for an index would be known by it."""
    async with AsyncExitStack() as stack:
        grounds = dict[str, Ground]()
        for side in sides:
            if side.roots:
                opening = answering(parts, _by_files(side, max_tokens), report)
                grounds[side.name] = await stack.enter_async_context(opening)
        yield grounds


async def _battle(parts: Parts, request: BattleRequest, emit: Emit) -> None:
    """Have both sides answer, shuffled: neither the place nor the order of coming tells who is who."""
    shuffled = random.sample(request.sides, 2)
    answers, most = [], request.max_tokens
    async with grounded(parts, request.sides, most, _quiet(emit)) as grounds:
        for side in shuffled:
            ground = grounds.get(side.name)
            told = await answer_of(parts, side, ground, request.question, most, _quiet(emit), ASKING)
            answers.append(told)
            emit("progress", Progress("answering", len(answers), 2))
    a, b = answers
    named = await asyncio.to_thread(parts.evaluations.arena.add, request.question, (shuffled[0], shuffled[1]), (a, b))
    emit("done", Battle(named, request.question, a, b))


async def answer_of(
    parts: Parts,
    side: Side,
    ground: Ground | None,
    question: str,
    max_tokens: int,
    report: Report,
    turn: Turn,
) -> str:
    """Return the text of a side's answer, without the citations by which one that looks things up would be known."""
    head = (Message("system", side.system),) if side.system.strip() else ()
    prompt = Prompt((*head, Message("user", question)))
    sampling = Sampling(temperature=side.temperature, seed=random.randrange(1, 2**31))
    model = await found_model(parts, side.model, report)
    async with parts.engines.using(model, report) as engine:
        subject = Subject(engine, side.adapters)
        if ground is not None:
            return (await ground.answer(question, Taken(model, subject), sampling, turn)).strip()
        return (await said(prompt, sampling, max_tokens, subject, turn)).strip()


def _quiet(emit: Emit) -> Report:
    """Return what tells of progress, and not of what: a model's name would tell, or that files are read."""
    return lambda progress: emit("progress", Progress("making ready", progress.done, progress.total))
