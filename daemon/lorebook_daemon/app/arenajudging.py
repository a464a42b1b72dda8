"""The route by which a judge votes in the arena: a run like any other, whose answers and votes are kept at once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fastapi import APIRouter

from lorebook_api.arena import ArenaJudged, ArenaJudgeRequest
from lorebook_api.errors import BadRequest, TooLong
from lorebook_api.evaluation import Skipped
from lorebook_api.indexing import Progress
from lorebook_daemon.app.arena import answer_of, check_sides, grounded
from lorebook_daemon.app.checks import check_text
from lorebook_daemon.app.engines import Report
from lorebook_daemon.app.evalroom import ARENA as KIND
from lorebook_daemon.app.evalroom import Going
from lorebook_daemon.app.events import Emit, EventStream, reporter
from lorebook_daemon.app.measure import Measure
from lorebook_daemon.app.parts import Parts
from lorebook_daemon.app.ragging import Ground
from lorebook_daemon.app.taking import found_model
from lorebook_daemon.engine.protocol import MEASURING
from lorebook_daemon.evaluate import overlap
from lorebook_daemon.evaluate.arenastore import battle_of
from lorebook_daemon.evaluate.diversity import Asked, read_prompts
from lorebook_daemon.evaluate.rows import read_rows
from lorebook_daemon.evaluate.store import Outcome
from lorebook_daemon.evaluate.task import Measured, Subject, run_task
from lorebook_daemon.evaluate.voting import Pair, VoteTask, winner_of


def arena_judging_routes(parts: Parts) -> APIRouter:
    """Return `POST /api/eval/arena/judge`; it sends `progress`, then `done` with an ArenaJudged."""
    router = APIRouter(prefix="/api/eval/arena")

    @router.post("/judge")
    async def judged(request: ArenaJudgeRequest) -> EventStream:
        check_text("path", request.path)
        check_sides(parts, request.sides, request.max_tokens)
        return ARENA.stream(parts, request)

    return router


@dataclass(frozen=True)
class _Contest:
    """The questions, the sides that answer them, and the run in which both answers and votes are kept."""

    parts: Parts
    request: ArenaJudgeRequest
    asked: Sequence[Asked]
    grounds: Mapping[str, Ground]
    going: Going

    async def answered(self) -> list[Skipped]:
        """Have each side answer what it has not, each model loaded once; return what could not be answered."""
        skipped, done = list[Skipped](), 0
        before = await self._answers()
        for place in range(2):
            for one in self.asked:
                self.going.report(Progress("answering", done, 2 * len(self.asked)))
                done += 1
                if before.get(one.row, (None, None))[place] is None:
                    try:
                        await self._answer(place, one)
                    except (BadRequest, TooLong) as why:
                        skipped.append(Skipped(one.row, str(why)))
        return skipped

    async def _answer(self, place: int, one: Asked) -> None:
        arena, side = self.parts.evaluations.arena, self.request.sides[place]
        ground, most = self.grounds.get(side.name), self.request.max_tokens
        text = await answer_of(self.parts, side, ground, one.question, most, self.going.report, MEASURING)
        battle = battle_of(self.going.run, one.row)
        kept = asyncio.to_thread(arena.answer, battle, one.question, self.request.sides, place, text)
        await asyncio.shield(kept)  # whoever hangs up

    async def voted(self, judge: Subject, name: str, unanswered: Sequence[Skipped]) -> Measured:
        """Have the judge vote where it has not; raises BadRequest where there is nothing that both sides answered."""
        known, answers = self.going.known, await self._answers()
        await asyncio.to_thread(self._settle_all, name)

        def keep(item: str, outcome: Outcome) -> None:
            self.parts.evaluations.runs.keep(self.going.run, item, outcome)
            self._settle(name, item, outcome)

        pairs = list[Pair]()
        for one in self.asked:
            a, b = answers.get(one.row, (None, None))
            if a is not None and b is not None:
                pairs.append(Pair(one.row, one.question, (a, b)))
        if not pairs:
            told = f"no prompt was answered by both sides: {unanswered[0].why}"
            raise BadRequest(told, "Shorten the prompts, or let other sides compete.")
        return await run_task(VoteTask(pairs), judge, self.going.report, known, keep, at_once=1)

    def _settle_all(self, judge: str) -> None:
        for item, vote in self.going.known.items():
            self._settle(judge, item, vote)

    def _settle(self, judge: str, item: str, vote: Outcome) -> None:
        """Put a vote that the run holds among those of the arena, once: the run is written first, and may be alone."""
        self.parts.evaluations.arena.settle(battle_of(self.going.run, int(item)), winner_of(vote), judge)

    async def _answers(self) -> dict[int, tuple[str | None, str | None]]:
        return await asyncio.to_thread(self.parts.evaluations.arena.answers, self.going.run)


async def _judge(parts: Parts, request: ArenaJudgeRequest, emit: Emit) -> None:
    report, path, room = reporter(emit), Path(request.path), parts.evaluations
    asked, left_out = read_prompts(await asyncio.to_thread(read_rows, path), request.limit)
    judge, adapters = await found_model(parts, request.model, report), parts.adapters.chosen(None)
    async with grounded(parts, request.sides, request.max_tokens, report) as grounds:
        config = await _config(parts, request, grounds, report)
        begun = await asyncio.to_thread(room.begun, KIND, path, config, judge, adapters)
        async with room.going_on(begun, report) as going:
            contest = _Contest(parts, request, asked, grounds, going)
            unanswered = await contest.answered()
            async with parts.engines.using(judge, going.report) as engine:
                found = await contest.voted(Subject(engine, adapters), judge.name, unanswered)
            skipped = (*left_out, *unanswered, *found.skipped)
            told = await asyncio.to_thread(_finish, contest, found, skipped)
    emit("done", told)


def _finish(contest: _Contest, found: Measured, skipped: tuple[Skipped, ...]) -> ArenaJudged:
    """Write down what the votes came to, and return it. Blocking."""
    room, run, before = contest.parts.evaluations, contest.going.run, len(contest.going.known)
    acting = {use.name: use for side in contest.request.sides for use in side.adapters}
    taught = overlap.overlaps([one.question for one in contest.asked], list(acting.values()), room.home)
    went_on = (f"{before} votes were given before this was interrupted.",) if before else ()
    notices, votes = (*map(overlap.told, taught), *went_on), len(found.outcomes)
    room.runs.finish(run, found.figures(), votes, skipped, notices, taught)
    room.arena.drop(run)  # what one side alone has answered
    inconsistent, shown = votes - int(sum(found.values("consistent"))), sum(found.values("first_shown")) / votes
    return ArenaJudged(votes, inconsistent, shown, skipped, run, notices)


async def _config(
    parts: Parts, request: ArenaJudgeRequest, grounds: Mapping[str, Ground], report: Report
) -> dict[str, Any]:
    """Return all that the votes depend on beside the questions and the judge."""
    sides = []
    for side in request.sides:
        model = await found_model(parts, side.model, report)
        acting = await asyncio.to_thread(parts.evaluations.subject, model, side.adapters)
        looked_up = await grounds[side.name].config() if side.name in grounds else {}
        sides.append({**asdict(side), **acting, **looked_up})
    return {"sides": sides, "max_tokens": request.max_tokens, "limit": request.limit}


ARENA = Measure("arena/judge", ArenaJudgeRequest, _judge)
