"""`lorebook.Job`: long work of the daemon, which shows itself in a notebook while it is done."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from lorebook.asking import current_shell
from lorebook.live import Live, open_display
from lorebook.markdown import plain
from lorebook_api.client import Client, JobEvent
from lorebook_api.schema import Progress
from lorebook_api.teaching import ENDED, JobInfo, Metrics, Said, TeachResult, result_of

_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 40
_SAID_SHOWN = 3


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
