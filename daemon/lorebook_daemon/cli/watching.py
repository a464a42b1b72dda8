"""A job as it goes on, in the terminal: its events until the end, and what a training came to."""

from __future__ import annotations

from contextlib import closing

from lorebook_api.client import Client
from lorebook_api.indexing import Progress
from lorebook_api.teaching import ESTIMATED, JobInfo, Metrics, Said, TeachResult, result_of
from lorebook_daemon.cli.screen import Bars, Screen, printable

_USES = {
    "": 'Ask with it: lorebook ask "…" --adapter {name}',
    "classifier": 'Classify with it: lorebook classify "…" --with {name}',
    **dict.fromkeys(("bitfit", "full"), 'It is a model of its own. Ask it: lorebook ask "…" --model {name}'),
}
"""What can be done with what a method came to."""


def watch(screen: Screen, client: Client, job: JobInfo) -> TeachResult:
    """Show a training's events until it has ended; return what it came to."""
    return result_of(watched(screen, client, job))


def watched(screen: Screen, client: Client, job: JobInfo) -> JobInfo:
    """Show a job's events until it has ended; return it as it is then."""
    last, measured = job, None
    with Bars(screen) as bars, closing(client.job_events(job.id)) as events:
        for event in events:
            match event:
                case Progress() if event.what.startswith(ESTIMATED):
                    bars.hide()
                    screen.say(event.what)
                case Progress():
                    bars.show(event)
                case Metrics():
                    if event.held_out_loss != measured:
                        measured = event.held_out_loss
                        bars.hide()
                        screen.say(_told(event))
                    bars.show(Progress("training", event.step, event.steps))
                case Said():
                    bars.hide()
                    screen.say(f"step {event.step}: {event.question[:80]!r} → {event.text[:120]!r}")
                case JobInfo():
                    last = event
    return last


def _told(metrics: Metrics) -> str:
    held_out = "" if metrics.held_out_loss is None else f", held out {metrics.held_out_loss:.3f}"
    right = "" if metrics.accuracy is None else f", accuracy {metrics.accuracy:.3f}"
    pace = f"{metrics.tokens_per_s:.0f} tokens/s, {metrics.seconds_left:.0f} s left"
    return f"step {metrics.step} of {metrics.steps}: loss {metrics.loss:.3f}{held_out}{right}, {pace}"


def show_result(screen: Screen, result: TeachResult) -> None:
    """Write what a training came to as a table."""
    rows = (
        ("adapter", result.adapter),
        ("status", result.status),
        ("why", result.reason),
        ("examples", str(result.examples)),
        ("left out", result.told_left_out),
        ("loss", "" if result.loss is None else f"{result.loss:.4f}"),
        ("held-out loss", "" if result.held_out_loss is None else f"{result.held_out_loss:.4f}"),
        ("accuracy", "" if result.accuracy is None else f"{result.accuracy:.3f}"),
        ("seconds", f"{result.seconds:.1f}"),
    )
    for what, value in rows:
        if value:
            screen.write(printable(f"{what:<15}{value}"))
    if result.status in ("active", "candidate"):
        screen.write(printable(_USES.get(result.method, _USES[""]).format(name=result.adapter)))
