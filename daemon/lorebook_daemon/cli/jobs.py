"""`lorebook jobs`: long work that the daemon does, and did."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, TypeVar

import click

from lorebook_api.errors import LorebookError
from lorebook_api.teaching import ENDED, JobInfo, result_of
from lorebook_daemon.cli.measuring import spelled
from lorebook_daemon.cli.options import daemon_option, debug_option, examples, json_option
from lorebook_daemon.cli.reach import reach
from lorebook_daemon.cli.screen import Screen, printable
from lorebook_daemon.cli.watching import show_result, watched

F = TypeVar("F", bound=Callable[..., Any])


def _id_argument(command: F) -> F:
    return click.argument("job_id", metavar="ID")(command)


@click.group(
    short_help="Watch, cancel and resume long work.",
    epilog=examples("lorebook jobs list", "lorebook jobs show 3f2a91c0d4e5", "lorebook jobs resume 3f2a91c0d4e5"),
)
@debug_option
def jobs() -> None:
    """Long work: one training runs at a time, the others wait. What was begun can be cancelled and gone on with.

    Measurements, indexing and pulls that are in hand stand here too, and the measurements that were.
    """


@jobs.command("list", short_help="List the jobs.", epilog=examples("lorebook jobs list"))
@json_option
@daemon_option
def list_jobs(as_json: bool, start: bool) -> None:
    """List all jobs, the latest first."""
    screen = Screen()
    known = reach(screen, start).jobs()
    if as_json:
        click.echo(json.dumps({"jobs": [asdict(job) for job in known]}, indent=2))
    elif not known:
        screen.write("There is no job yet. Begin one: lorebook teach NOTEBOOK", style="dim")
    else:
        head = ("id", "kind", "name", "state", "created", "")
        screen.table(head, [(job.id, job.kind, job.name, job.state, job.created, job.reason) for job in known])


@jobs.command(short_help="Show a job, and watch it.", epilog=examples("lorebook jobs show 3f2a91c0d4e5"))
@_id_argument
@json_option
@daemon_option
def show(job_id: str, as_json: bool, start: bool) -> None:
    """Show the job ID; one that runs or waits is watched until it has ended. Ctrl-C stops watching only."""
    screen = Screen()
    client = reach(screen, start)
    job = client.job(job_id)
    if as_json:
        click.echo(json.dumps(asdict(job), indent=2))
        return
    screen.write(printable(_line(job)))
    if job.state not in ENDED:
        job = watched(screen, client, job)
        screen.write(printable(_line(job)))
    _show_result(screen, job)


def _show_result(screen: Screen, job: JobInfo) -> None:
    if job.kind == "eval" and job.result:
        screen.write(printable(", ".join(f"{name} {spelled(value)}" for name, value in job.result.items())))
        screen.write(f"more: lorebook eval show {job.id}", style="dim")
    if job.kind == "teach" and job.result:
        show_result(screen, result_of(job))


def _line(job: JobInfo) -> str:
    return f"{job.kind} {job.name}: {job.state} {job.reason}".strip()


@jobs.command(short_help="End a job.", epilog=examples("lorebook jobs cancel 3f2a91c0d4e5"))
@_id_argument
@json_option
@daemon_option
def cancel(job_id: str, as_json: bool, start: bool) -> None:
    """End the job ID. What it had reached is kept, and `resume` goes on from there."""
    screen = Screen()
    _tell(screen, reach(screen, start).cancel_job(job_id), as_json)


@jobs.command(short_help="Go on with a job.", epilog=examples("lorebook jobs resume 3f2a91c0d4e5"))
@_id_argument
@json_option
@daemon_option
def resume(job_id: str, as_json: bool, start: bool) -> None:
    """Go on with the job ID, which failed, was cancelled or interrupted, where it was.

    A training waits for its turn, and `show` watches it. A measurement begins at once and is watched until its end;
    Ctrl-C stops watching only.
    """
    screen = Screen()
    client = reach(screen, start)
    job = client.resume_job(job_id)
    if job.kind == "eval":
        job = watched(screen, client, job)
        if job.state == "failed":
            raise LorebookError(job.reason)
    _tell(screen, job, as_json)
    if not as_json:
        _show_result(screen, job)


@jobs.command(short_help="Show what a job wrote to its log.", epilog=examples("lorebook jobs logs 3f2a91c0d4e5"))
@_id_argument
@daemon_option
def logs(job_id: str, start: bool) -> None:
    """Show what the job ID wrote to its log."""
    screen = Screen()
    screen.write(printable(reach(screen, start).job_log(job_id).rstrip()))


def _tell(screen: Screen, job: JobInfo, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(asdict(job), indent=2))
    else:
        screen.write(printable(f"{job.kind} {job.name} is {job.state}."))
