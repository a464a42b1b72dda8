"""`lorebook teach --sweep`: one job for each point of a grid, and the table of what they came to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from lorebook_api.client import Client
from lorebook_api.errors import LorebookError, StorageFailed
from lorebook_api.sweep import SweepRow, at_point, grid, vega_lite
from lorebook_api.teaching import TeachRequest, TeachResult
from lorebook_daemon.cli.screen import Screen
from lorebook_daemon.cli.watching import watch


def sweep(screen: Screen, client: Client, request: TeachRequest, axes: Sequence[str], plot: str, as_json: bool) -> None:
    """Train at every point of the grid, one after another, and show the table; write a plot where one is wanted."""
    points = grid(axes)
    requests = [at_point(request, point) for point in points]
    jobs = [client.teach(one) for one in requests]
    screen.say(f"{len(jobs)} jobs: {' '.join(job.id for job in jobs)}")
    rows = [SweepRow(point, watch(screen, client, job)) for point, job in zip(points, jobs, strict=True)]
    if plot:
        _write(Path(plot).expanduser().absolute(), rows)
    if as_json:
        click.echo(json.dumps([asdict(row) for row in rows], indent=2))
    else:
        _show(screen, rows)
    failed = [row for row in rows if row.result.status in ("failed", "cancelled")]
    if failed:
        raise LorebookError(f"{len(failed)} of {len(rows)} trainings failed. {failed[0].result.reason}".strip())


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
