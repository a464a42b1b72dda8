"""`lorebook.evaluate()`: what was measured on this machine, as a leaderboard with intervals; two runs compared."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lorebook.channel import Message
from lorebook.errands import run_errand, run_work, told
from lorebook.measures import Measurement, measurement
from lorebook.reaching import reach
from lorebook.state import WidgetState
from lorebook.widget import deed_of
from lorebook.working import WorkingWidget
from lorebook_api.client import Client
from lorebook_api.evaluation import Comparison, EvalRun, Figure, JudgeRequest, McRequest
from lorebook_api.indexing import Progress
from lorebook_api.markdown import plain

PAUSE_S = 0.3
"""Between two remarks on how far a measurement is."""

_NONE = "Nothing was measured yet. Begin: lorebook.evaluate('questions.csv', format='csv'), or lorebook eval --help"


def evaluate(data: str | Path | None = None, kind: str = "mc", **choices: Any) -> EvaluateView:
    """Return a leaderboard of what was measured; with a file of rows measure a kind of it first, in a thread.

    Kinds are those of `lorebook eval`: mc, judge, toxicity, exact, rag, bias, diversity. `choices` are their options,
    such as model, adapter, limit, and format (mc), root (rag), response (judge). Raises LorebookError.
    """
    request = measurement(kind, data, choices) if data is not None else None
    view = EvaluateView()
    view.refresh()
    if request is not None:
        view.measure(request)
    return view


class EvaluateView(WorkingWidget):
    """The runs of `lorebook eval`, by what they measured; `runs` are those that were finished, the latest first."""

    _busy = ("Something is being measured.", "Wait for its end: .wait()")

    def __init__(self) -> None:
        self.runs: tuple[EvalRun, ...] = ()
        self._stopped = False
        self._state = WidgetState(groups=[], comparison=None, told="", measuring=False, failure=None)
        super().__init__("evaluate", self._state)

    def refresh(self) -> None:
        """Look at what is kept."""
        self.runs = tuple(run for run in reach().evaluations() if run.state == "done")
        groups = [_shown_group(name, runs) for name, runs in grouped(self.runs).items()]
        self._show(groups=groups, told="" if self.runs else _NONE)

    def measure(self, request: Measurement) -> EvaluateView:
        """Begin a measurement, in a thread; return itself. Raises Conflict while another one goes on."""

        def start() -> threading.Thread:
            self._stopped = False
            self._show(measuring=True, told="measuring …")
            return run_work(lambda: self._measure(request), self.channel.post, "measure")

        self._begin(start)
        return self

    def stop(self) -> None:
        """End the measurement with the next item; the same one goes on from there."""
        self._stopped = True

    def compare(self, first: str, second: str) -> Comparison:
        """Return two runs, given by their ids, item by item; a page shows the latest comparison."""
        found = reach().compare_evaluations(first, second)
        self._show(comparison=_shown_comparison(found))
        return found

    def act(self, message: Message) -> None:
        """Do what a page asks for."""
        deed = deed_of(_DEEDS, message)
        run_errand(lambda: deed(self, message), self.channel.post, "evaluate")

    def static_text(self) -> str:
        """Return the leaderboards as text."""
        parts = []
        for name, runs in grouped(self.runs).items():
            lines = [f"  {_label(run, runs)}: {_figures(run)} ({run.n} items, {run.id})" for run in runs]
            parts.append("\n".join([name, *lines]))
        failed = [told(self._state.values["failure"])] if self._state.values["failure"] else []
        return "\n\n".join([*failed, *(parts or [_NONE])])

    def static_markdown(self) -> str:
        """Return the leaderboards as tables."""
        parts = [_table(name, runs) for name, runs in grouped(self.runs).items()]
        return "\n\n".join(parts) or plain(_NONE)

    def _measure(self, request: Measurement) -> None:
        shown = float("-inf")
        try:
            with closing(_begin(reach(), request)) as events:
                for event in events:
                    if self._stopped:
                        break
                    if isinstance(event, Progress) and time.monotonic() - shown >= PAUSE_S:
                        shown = time.monotonic()
                        self._show(told=f"measuring: {event.what} {event.done} of {event.total} …")
        finally:
            self._show(measuring=False, told="")
        self.refresh()


_DEEDS: dict[str, Callable[[EvaluateView, Message], Any]] = {
    "refresh": lambda view, message: view.refresh(),
    "stop": lambda view, message: view.stop(),
    "compare": lambda view, message: view.compare(str(message["first"]), str(message["second"])),
}
"""What a page may ask for."""


def _begin(client: Client, request: Measurement) -> Generator[Any, None, None]:
    match request:
        case McRequest():
            return client.evaluate_choices(request)
        case JudgeRequest():
            return client.judge(request)
        case _:
            return client.measure(request)


def grouped(runs: Sequence[EvalRun]) -> dict[str, list[EvalRun]]:
    """Return the runs by what they measured: their kind and their data, in the order of their coming."""
    groups: dict[str, list[EvalRun]] = {}
    for run in runs:
        groups.setdefault(f"{run.kind} {run.name}".strip(), []).append(run)
    return groups


def _shown_group(name: str, runs: Sequence[EvalRun]) -> Message:
    figures = list(dict.fromkeys(figure for run in runs for figure in run.figures))
    return {"name": name, "figures": figures, "rows": [_shown_run(run, runs) for run in runs]}


def _shown_run(run: EvalRun, runs: Sequence[EvalRun]) -> Message:
    skipped = [f"{len(run.skipped)} left out"] if run.skipped else []
    return {
        "id": run.id,
        "label": _label(run, runs),
        "created": run.created,
        "n": run.n,
        "figures": {name: asdict(figure) for name, figure in run.figures.items()},
        "notes": [*run.notices, *skipped],
    }


def _shown_comparison(found: Comparison) -> Message:
    return {
        "first": found.first.id,
        "second": found.second.id,
        "changed": list(found.changed),
        "notices": list(found.notices),
        "figures": [asdict(one) for one in found.figures],
    }


def _label(run: EvalRun, runs: Sequence[EvalRun]) -> str:
    """Return how a run was configured, as far as the others differ from it; its model where none does."""
    names = [name for name in run.config if any(_value(one.config, name) != _value(run.config, name) for one in runs)]
    return ", ".join(f"{name} {_value(run.config, name)}" for name in names) or _value(run.config, "model") or run.id


def _value(config: Mapping[str, Any], name: str) -> str:
    value = config.get(name, "")
    if value == []:
        return "none"
    if isinstance(value, list):
        return "+".join(str(one["name"]) if isinstance(one, dict) and "name" in one else str(one) for one in value)
    return str(value)


def _figures(run: EvalRun) -> str:
    return ", ".join(f"{name} {_interval(figure)}" for name, figure in run.figures.items())


def _interval(figure: Figure) -> str:
    return f"{figure.value:.3g} [{figure.low:.3g}, {figure.high:.3g}]"


def _table(name: str, runs: Sequence[EvalRun]) -> str:
    figures = list(dict.fromkeys(figure for run in runs for figure in run.figures))
    rows = [["run", *figures, "items"]]
    for run in runs:
        cells = [_interval(run.figures[figure]) if figure in run.figures else "–" for figure in figures]
        rows.append([_label(run, runs), *cells, str(run.n)])
    lines = [f"| {' | '.join(map(plain, row))} |" for row in rows]
    return "\n".join([f"**{plain(name)}**\n", lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])
