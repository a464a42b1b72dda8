"""`lorebook.teach`: an adapter from cells, data files or pairs, and the job that shows itself while it is made."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lorebook.asking import current_shell, reach
from lorebook.live import Live, open_display
from lorebook.markdown import plain
from lorebook_api.client import Client, JobEvent
from lorebook_api.errors import BadRequest, NotFound
from lorebook_api.schema import Progress
from lorebook_api.teaching import (
    ENDED,
    JobInfo,
    Metrics,
    Pair,
    Preview,
    Said,
    TeachRequest,
    TeachResult,
    TrainSettings,
    pairs_in,
    result_of,
)
from lorebook_api.typed import find_model

_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 40
_SAID_SHOWN = 3

Files = str | Path | Sequence[str | Path]
Pairs = Mapping[str, str] | Sequence[tuple[str, str]]


def teach(
    notebook: Files = (),
    *,
    cells: str = "",
    tag: str | Sequence[str] = (),
    id: str | Sequence[str] = (),
    whole: bool = False,
    data: Files = (),
    pairs: Pairs = (),
    recipe: str = "auto",
    template: str = "chat",
    method: str = "alora",
    name: str = "",
    base: str = "auto",
    keep: Sequence[str] = (),
    wait: bool = True,
    **settings: Any,
) -> Job:
    """Teach the cells of notebooks, the rows of data files, or `pairs` of question and answer; return the Job.

    `settings` are the fields of TrainSettings: rank, targets, epochs, learning_rate, … With `wait` the job shows itself
    here until it has ended; an interrupt stops watching, and the job goes on. Raises LorebookError.
    """
    request = TeachRequest(
        notebooks=_paths(notebook),
        cells=cells,
        tags=_several(tag),
        ids=_several(id),
        whole=whole,
        data=_paths(data),
        pairs=_pairs(pairs),
        recipe=recipe,
        template=template,
        method=method,
        name=name,
        base=find_model(base),
        keep=tuple(keep),
        settings=train_settings(settings),
    )
    return begin(request, wait=wait)


def preview(request: TeachRequest) -> Preview:
    """Return the examples that a request would teach, and what training them would take. Raises LorebookError."""
    return reach().preview_teaching(request)


def begin(request: TeachRequest, *, wait: bool = True) -> Job:
    """Begin to teach what a request says; return the Job, shown to its end where `wait` is set."""
    client = reach()
    job = Job(client, client.teach(request))
    return job.watch() if wait else job


def train_settings(settings: Mapping[str, Any]) -> TrainSettings:
    """Return the settings of these names; raises BadRequest for a name that is none."""
    unknown = [name for name in settings if name not in TrainSettings.__dataclass_fields__]
    if unknown:
        known = ", ".join(TrainSettings.__dataclass_fields__)
        raise BadRequest(f"{unknown[0]} is no setting of training.", f"Settings are: {known}.")
    targets = settings.get("targets", TrainSettings.targets)
    return TrainSettings(**{**settings, "targets": _several(targets)})


@dataclass
class Seen:
    """What a job has told so far."""

    note: str = ""
    metrics: list[Metrics] = field(default_factory=list)
    said: list[Said] = field(default_factory=list)

    def take(self, event: JobEvent) -> None:
        """Add an event."""
        match event:
            case Progress():
                self.note = event.what
            case Metrics():
                self.note = ""
                self.metrics.append(event)
            case Said():
                self.said.append(event)
            case _:
                pass


class Job:
    """A piece of long work: what it is, how it stands, and what it has told. Shows itself in a notebook."""

    def __init__(self, client: Client, info: JobInfo) -> None:
        self._client = client
        self.info = info
        self.seen = Seen()

    @property
    def id(self) -> str:
        """The job's id, by which `lorebook jobs` knows it too."""
        return self.info.id

    @property
    def adapter(self) -> str:
        """The name of the adapter that it makes."""
        return self.info.name

    @property
    def state(self) -> str:
        """How it stood when it was last looked at."""
        return self.info.state

    @property
    def result(self) -> TeachResult:
        """What it came to, as far as that is known."""
        return result_of(self.info)

    def refresh(self) -> Job:
        """Look how it stands; return itself."""
        self.info = self._client.job(self.id)
        return self

    def cancel(self) -> Job:
        """End it; what it had reached is kept. Returns itself."""
        self.info = self._client.cancel_job(self.id)
        return self

    def resume(self, *, wait: bool = True) -> Job:
        """Go on where it was left; return itself, shown to its end where `wait` is set."""
        self.info = self._client.resume_job(self.id)
        return self.watch() if wait else self

    def watch(self) -> Job:
        """Show it until it has ended; return itself. An interrupt stops watching only."""
        shown = current_shell() is not None and not sys.stdout.isatty()
        live = Live(open_display) if shown else None
        self.seen = Seen()
        try:
            self._follow(live)
        except KeyboardInterrupt:
            sys.stderr.write(
                f"lorebook: the job goes on; end it with job.cancel() or: lorebook jobs cancel {self.id}\n"
            )
        if live:
            live.finish({"text/plain": ""} if self.info.state in ENDED else self._repr_mimebundle_())
        return self

    def _follow(self, live: Live | None) -> None:
        with closing(self._client.job_events(self.id)) as events:
            for event in events:
                if isinstance(event, JobInfo):
                    self.info = event
                else:
                    self.seen.take(event)
                    if live:
                        live.show(self._repr_mimebundle_())

    def __repr__(self) -> str:
        return "\n".join(filter(None, (self._head(), *self._lines())))

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        lines = [f"    {line}" for line in self._lines() if line]  # a block of code, which is shown as it is
        return {"text/plain": repr(self), "text/markdown": "\n".join((f"{plain(self._head())}\n", *lines))}

    def _head(self) -> str:
        what = f"{self.info.kind} {self.info.name}: {self.info.state}"
        if self.info.state == "done":
            result = self.result
            return f"{what}, {result.status}. {result.reason}".strip()
        return f"{what}. {self.info.reason or self.seen.note}".strip(" .")

    def _lines(self) -> list[str]:
        metrics = self.seen.metrics
        if not metrics:
            return []
        last = metrics[-1]
        held_out = [one.held_out_loss for one in metrics if one.held_out_loss is not None]
        return [
            f"{_bar(last.step, last.steps)} {last.step} of {last.steps} steps, {last.tokens_per_s:.0f} tokens/s, "
            f"{last.seconds_left:.0f} s left",
            f"loss      {_curve([one.loss for one in metrics])} {last.loss:.3f}",
            f"held out  {_curve(held_out)} {held_out[-1]:.3f}" if held_out else "",
            *(f"{said.question[:60]} → {said.text[:80]}" for said in self.seen.said[-_SAID_SHOWN:]),
        ]


def _bar(done: int, total: int) -> str:
    full = _WIDTH * done // max(1, total)
    return f"[{'█' * full}{'░' * (_WIDTH - full)}]"


def _curve(values: Sequence[float]) -> str:
    """Return values as a line of bars, at most 40: the higher, the greater."""
    step = max(1, -(-len(values) // _WIDTH))
    means = [sum(part) / len(part) for part in (values[n : n + step] for n in range(0, len(values), step))]
    top = max(means, default=0.0)
    return "".join(
        _BARS[min(len(_BARS) - 1, int(len(_BARS) * value / top))] if top > 0 else _BARS[0] for value in means
    )


def _several(value: str | Sequence[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _paths(files: Files) -> tuple[str, ...]:
    named = [files] if isinstance(files, str | Path) else list(files)
    paths = [Path(name).expanduser().absolute() for name in named]
    for path in paths:
        if not path.is_file():
            raise NotFound(f"{path} is not a file.", "Check the path.")
    return tuple(map(str, paths))


def _pairs(pairs: Pairs) -> tuple[Pair, ...]:
    items = pairs.items() if isinstance(pairs, Mapping) else pairs
    return tuple(Pair(question, answer) for question, answer in items)


def pairs_of(cell: str) -> tuple[Pair, ...]:
    """Return the pairs in the text of a `%%teach` cell: question, blank line, answer; `---` between several.

    Raises BadRequest where one has no answer.
    """
    pairs = pairs_in(cell)
    if not pairs or not all(pair.question and pair.answer for pair in pairs):
        told = "a cell that teaches holds a question, a blank line and the answer."
        raise BadRequest(told, "Several are parted by lines of ---")
    return pairs
