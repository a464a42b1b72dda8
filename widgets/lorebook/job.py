"""`lorebook.Job`: long work of the daemon, which shows itself in a notebook while it is done."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from lorebook.live import Live, open_display
from lorebook.reaching import current_shell
from lorebook_api.client import Client, JobEvent
from lorebook_api.indexing import Progress
from lorebook_api.markdown import plain
from lorebook_api.teaching import ENDED, ESTIMATED, JobInfo, Metrics, Said, TeachResult, result_of

if TYPE_CHECKING:
    from lorebook.teachview import TeachWidget

_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 40
_SAID_SHOWN = 3


@dataclass
class Seen:
    """What a job has told so far."""

    note: str = ""
    estimate: str = ""
    """What the training will take, as it was said before it began."""
    metrics: list[Metrics] = field(default_factory=list)
    said: list[Said] = field(default_factory=list)

    def take(self, event: JobEvent) -> None:
        """Add an event."""
        match event:
            case Progress():
                self.note = event.what
                self.estimate = event.what if event.what.startswith(ESTIMATED) else self.estimate
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
        self._view: TeachWidget | None = None

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
        """Show it until it has ended, in a notebook as a widget; return itself. An interrupt stops watching only."""
        shell = current_shell()
        live = Live(open_display) if shell is not None and not sys.stdout.isatty() else None
        if live and getattr(shell, "kernel", None) is not None:
            self._view = _open_view()
            live.finish(self._repr_mimebundle_())
        try:
            self.follow(lambda: self._tell(live))
        except KeyboardInterrupt:
            sys.stderr.write(
                f"lorebook: the job goes on; end it with job.cancel() or: lorebook jobs cancel {self.id}\n"
            )
        if live:
            live.finish({"text/plain": ""} if self.info.state in ENDED else self._repr_mimebundle_())
        return self

    def follow(self, told: Callable[[], None]) -> Job:
        """Take in what it tells until it has ended, and call `told` after each piece; return itself."""
        self.seen = Seen()
        with closing(self._client.job_events(self.id)) as events:
            for event in events:
                if isinstance(event, JobInfo):
                    self.info = event
                else:
                    self.info = replace(self.info, state="running")  # only one that runs tells anything
                    self.seen.take(event)
                told()
        return self

    def texts(self) -> dict[str, str]:
        """Return it as plain text and as Markdown, by their MIME types."""
        lines = [f"    {line}" for line in self._lines() if line]  # a block of code, which is shown as it is
        return {"text/plain": repr(self), "text/markdown": "\n".join((f"{plain(self.headline)}\n", *lines))}

    def _tell(self, live: Live | None) -> None:
        if self._view is not None:
            self._view.show(self)
        elif live:
            live.show(self.texts())

    def __repr__(self) -> str:
        return "\n".join(filter(None, (self.headline, *self._lines())))

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return {**(self._view.bundle() if self._view is not None else {}), **self.texts()}

    @property
    def headline(self) -> str:
        """How it stands, in a line."""
        what = f"{self.info.kind} {self.info.name}: {self.info.state}"
        if self.info.state == "done":
            result = self.result
            left_out = result.told_left_out and f"Left out: {result.told_left_out}."
            return " ".join(filter(None, (f"{what}, {result.status}.", result.reason, left_out)))
        more = self.info.reason or self.seen.note
        return f"{what}. {more}" if more else what

    def _lines(self) -> list[str]:
        metrics = self.seen.metrics
        if not metrics:
            said_already = self.seen.estimate == self.seen.note
            return [] if said_already else [self.seen.estimate]
        last = metrics[-1]
        right = [one.accuracy for one in metrics if one.accuracy is not None]
        held_out = [one.held_out_loss for one in metrics if one.held_out_loss is not None]
        return [
            f"{_bar(last.step, last.steps)} {last.step} of {last.steps} steps, {last.tokens_per_s:.0f} tokens/s, "
            f"{last.seconds_left:.0f} s left",
            f"loss      {_curve([one.loss for one in metrics])} {last.loss:.3f}",
            f"held out  {_curve(held_out)} {held_out[-1]:.3f}" if held_out else "",
            f"accuracy  {_curve(right)} {right[-1]:.3f}" if right else "",
            *(f"{said.question[:60]} → {said.text[:80]}" for said in self.seen.said[-_SAID_SHOWN:]),
        ]


def _open_view() -> TeachWidget:
    from lorebook.teachview import TeachWidget  # anywidget: half a second that a script does without

    return TeachWidget()


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
