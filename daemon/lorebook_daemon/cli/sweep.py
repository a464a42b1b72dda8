"""`lorebook teach --sweep`: one job for each point of a grid, and the table of what they came to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import click

from lorebook_api.client import Client
from lorebook_api.errors import BadRequest, Conflict, LorebookError, NotFound, StorageFailed
from lorebook_api.sweep import SweepRow, at_point, grid, vega_lite
from lorebook_api.teaching import ENDED, JobInfo, TeachRequest, TeachResult
from lorebook_daemon.cli.screen import Screen
from lorebook_daemon.cli.watching import watch


def sweep(screen: Screen, client: Client, request: TeachRequest, axes: Sequence[str], plot: str, as_json: bool) -> None:
    """Train at every point of the grid, one after another, and show the table; write a plot where one is wanted.

    What can be refused is refused before anything is trained, and all points with it.
    """
    points = grid(axes)
    target = _plot_file(plot) if plot else None
    requests = [at_point(request, point) for point in points]
    _check_names(client, requests)
    jobs = _submitted(client, requests)
    screen.say(f"{len(jobs)} jobs: {' '.join(job.id for job in jobs)}")
    rows = [SweepRow(point, watch(screen, client, job)) for point, job in zip(points, jobs, strict=True)]
    if target:
        _write(target, rows)
    if as_json:
        click.echo(json.dumps([asdict(row) for row in rows], indent=2))
    else:
        _show(screen, rows)
    failed = [row for row in rows if row.result.status in ("failed", "cancelled")]
    if failed:
        raise LorebookError(f"{len(failed)} of {len(rows)} trainings failed. {failed[0].result.reason}".strip())


def _plot_file(plot: str) -> Path:
    path = Path(plot).expanduser().absolute()
    if path.suffix.lower() != ".json":
        told = f"{path.name} would hold a plot as Vega-Lite, which is JSON."
        raise BadRequest(told, "Name a file such as sweep.vl.json: JupyterLab draws it when it is opened.")
    if not path.parent.is_dir():
        raise NotFound(f"There is no folder {path.parent}.", "Make it, or name another file.")
    return path


def _check_names(client: Client, requests: Sequence[TeachRequest]) -> None:
    """Raise Conflict where one of the points could not have its name."""
    taken = {job.name.casefold() for job in client.jobs() if job.state not in ENDED}
    if not requests[0].replace:
        taken |= {adapter.name.casefold() for adapter in client.adapters()}
    used = [request.name for request in requests if request.name.casefold() in taken]
    if used:
        told = f"There is an adapter {used[0]} already, or a job that makes it."
        raise Conflict(told, "Give the sweep another name with --name, or let it take their places with --replace.")


def _submitted(client: Client, requests: Sequence[TeachRequest]) -> list[JobInfo]:
    """Return the jobs of all points; where one of them is refused none is left in the line."""
    jobs: list[JobInfo] = []
    try:
        for request in requests:
            jobs.append(client.teach(request))  # noqa: PERF401 - those before one that is refused are wanted
    except BaseException:  # an interrupt too
        for job in reversed(jobs):  # the first may train by now; ended last, it makes none of the others begin
            with suppress(LorebookError):
                client.cancel_job(job.id)
        raise
    return jobs


def _show(screen: Screen, rows: Sequence[SweepRow]) -> None:
    head = (*rows[0].point, "held-out loss", "accuracy", "trained", "seconds", "MB", "status")
    screen.table(head, [(*row.point.values(), *_figures(row.result)) for row in rows])


def _figures(result: TeachResult) -> tuple[str, ...]:
    return (
        "" if result.held_out_loss is None else f"{result.held_out_loss:.4f}",
        "" if result.accuracy is None else f"{result.accuracy:.3f}",
        f"{result.trained:,}",
        f"{result.seconds:.1f}",
        f"{result.memory_mb:.0f}",
        result.status,
    )


def _write(path: Path, rows: Sequence[SweepRow]) -> None:
    try:
        path.write_text(json.dumps(vega_lite(rows), indent=1), encoding="utf-8")
    except OSError as error:
        told = f"{path} cannot be written ({error.strerror or error})."
        raise StorageFailed(told, "Name another file.") from error
