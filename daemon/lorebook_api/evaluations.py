"""What a client can ask of the daemon about evaluation: one method a route, a part of `lorebook_api.client.Client`.

Events of the streams are `progress`, a Progress, and at last `done` with the report.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from dataclasses import asdict
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from lorebook_api.arena import (
    ArenaJudged,
    ArenaJudgeRequest,
    Battle,
    BattleRequest,
    Preference,
    Revealed,
    Standings,
    VoteRequest,
)
from lorebook_api.decoding import decode
from lorebook_api.evaluation import (
    BiasRequest,
    Comparison,
    DiversityRequest,
    EvalReport,
    EvalRun,
    ExactRequest,
    JudgeReport,
    JudgeRequest,
    McReport,
    McRequest,
    Proposal,
    QuestionsRequest,
    RagRequest,
)
from lorebook_api.indexing import Progress

R = TypeVar("R")

Measuring = ExactRequest | DiversityRequest | BiasRequest | RagRequest

_ROUTES: dict[type[Measuring], str] = {
    ExactRequest: "exact",
    DiversityRequest: "diversity",
    BiasRequest: "bias",
    RagRequest: "rag",
}


class Evaluations(ABC):
    """The part of a client that measures; closing an iterator ends what it began."""

    @abstractmethod
    def _call(self, method: str, path: str, body: Any = None, seconds: float | None = 30.0) -> Any: ...

    @abstractmethod
    def _stream(
        self, path: str, body: Any, events: dict[str, Callable[[Any], R]], last: str, method: str = "POST"
    ) -> Generator[R, None, None]: ...

    def evaluate_choices(self, request: McRequest) -> Generator[Progress | McReport, None, None]:
        """Yield how far a multiple-choice set is, the report last."""
        return self._working("mc", asdict(request), McReport)

    def judge(self, request: JudgeRequest) -> Generator[Progress | JudgeReport, None, None]:
        """Yield how many responses are judged, the report last."""
        return self._working("judge", asdict(request), JudgeReport)

    def measure(self, request: Measuring) -> Generator[Progress | EvalReport, None, None]:
        """Yield how far a measurement is, the report last."""
        return self._working(_ROUTES[type(request)], asdict(request), EvalReport)

    def propose_questions(self, request: QuestionsRequest) -> Generator[Progress | Proposal, None, None]:
        """Yield how many questions there are, all of them last."""
        return self._working("questions", asdict(request), Proposal)

    def fight(self, request: BattleRequest) -> Generator[Progress | Battle, None, None]:
        """Yield how far two sides are with their answers, the answers last, without the sides' names."""
        return self._working("arena/battle", asdict(request), Battle)

    def battle(self, request: BattleRequest) -> Battle:
        """Return the answers of two sides, without the sides' names."""
        return next(event for event in self.fight(request) if isinstance(event, Battle))

    def vote(self, request: VoteRequest) -> Revealed:
        """Vote on a battle; return who the sides were. Raises Conflict for a second vote."""
        return decode(Revealed, self._call("POST", "/api/eval/arena/vote", asdict(request)))

    def judge_arena(self, request: ArenaJudgeRequest) -> Generator[Progress | ArenaJudged, None, None]:
        """Yield how far a judge's votes are, their sum last."""
        return self._working("arena/judge", asdict(request), ArenaJudged)

    def standings(self) -> Standings:
        """Return the ratings of all sides that were voted on."""
        return decode(Standings, self._call("GET", "/api/eval/arena", seconds=None))

    def preferences(self) -> tuple[Preference, ...]:
        """Return the votes of people as pairs to learn from."""
        told = self._call("GET", "/api/eval/arena/preferences")
        return tuple(decode(Preference, pair) for pair in told["preferences"])

    def forget_votes(self) -> int:
        """Forget all battles; return how many there were."""
        return int(self._call("DELETE", "/api/eval/arena")["forgotten"])

    def evaluations(self) -> tuple[EvalRun, ...]:
        """Return all measurements that are kept, the latest first."""
        return tuple(decode(EvalRun, run) for run in self._call("GET", "/api/eval/runs")["runs"])

    def evaluation(self, run: str) -> EvalRun:
        """Return a measurement, by its id, the start of it, or `last`; raises NotFound."""
        return decode(EvalRun, self._call("GET", _run_path(run)))

    def evaluation_items(self, run: str) -> list[dict[str, Any]]:
        """Return what each item of a measurement came to: `id`, `scores`, `said`, `note`."""
        items: list[dict[str, Any]] = self._call("GET", f"{_run_path(run)}/items")["items"]
        return items

    def delete_evaluation(self, run: str) -> None:
        """Forget a measurement."""
        self._call("DELETE", _run_path(run))

    def compare_evaluations(self, first: str, second: str) -> Comparison:
        """Return two measurements, item by item; raises BadRequest where they share none."""
        query = urlencode({"first": first, "second": second})
        return decode(Comparison, self._call("GET", f"/api/eval/compare?{query}", seconds=None))

    def evaluation_page(self, runs: tuple[str, ...]) -> str:
        """Return a page of HTML about measurements, whole in itself."""
        query = urlencode({"runs": ",".join(runs)})
        return str(self._call("GET", f"/api/eval/report?{query}", seconds=None)["html"])

    def _working(self, route: str, body: Any, kind: type[R]) -> Generator[Progress | R, None, None]:
        events: dict[str, Callable[[Any], Progress | R]] = {
            "progress": lambda payload: decode(Progress, payload),
            "done": lambda payload: decode(kind, payload),
        }
        return self._stream(f"/api/eval/{route}", body, events, last="done")


def _run_path(run: str) -> str:
    return f"/api/eval/runs/{quote(run, safe='')}"
