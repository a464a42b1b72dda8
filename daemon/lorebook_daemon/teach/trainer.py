"""The parent's side of the trainer: starts the child, hands on its events, lets it pause, ends it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from lorebook_api.errors import LorebookError, from_body
from lorebook_daemon.engine.threads import BRIEF_SPIN

What = Literal["preview", "train"]

_LINE_LIMIT = 64 * 1024 * 1024  # a preview holds its examples
_GRACE_S = 5.0


@dataclass(frozen=True)
class TrainerEvent:
    """What a trainer says: `progress`, `metrics`, `said`, and at the end `done`, each with plain JSON data."""

    name: str
    data: dict[str, Any]


class Busy(Protocol):
    """Whether somebody waits for an answer, for whom training pauses."""

    @property
    def depth(self) -> int:
        """How many do."""
        ...

    async def wanted(self) -> None:
        """Wait until somebody does."""
        ...


async def run_trainer(what: What, folder: Path, busy: Busy) -> AsyncGenerator[TrainerEvent, None]:
    """Yield what the trainer of the job in `folder` says, `done` last; closing the iterator ends the process.

    It pauses while `busy`. What it writes to stderr goes to `log.txt` in the folder. Raises what it reports, and
    LorebookError where it dies.
    """
    async with _started(what, folder) as process:
        giving_way = asyncio.create_task(_give_way(process, busy))
        try:
            async for event in _events(process):
                yield event
            status = await process.wait()
        finally:
            giving_way.cancel()
            await asyncio.gather(giving_way, return_exceptions=True)
    if status != 0:
        raise _death(status)


@asynccontextmanager
async def _started(what: What, folder: Path) -> AsyncGenerator[Process, None]:
    environment = {**os.environ, **BRIEF_SPIN, "TOKENIZERS_PARALLELISM": "false"}
    with (folder / "log.txt").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            # -P: `lorebook serve` may stand in a folder whose queue.py is not the standard library's.
            *(sys.executable, "-P", "-m", "lorebook_daemon.teach.child", what, str(folder)),
            stdin=PIPE,
            stdout=PIPE,
            stderr=log,
            limit=_LINE_LIMIT,
            env=environment,
        )
    try:
        yield process
    finally:
        await _end(process)


async def _events(process: Process) -> AsyncGenerator[TrainerEvent, None]:
    if process.stdout is None:
        raise ValueError("a trainer is listened to through pipes")
    async for line in process.stdout:
        event = json.loads(line)
        if event["event"] == "error":
            raise from_body(event["data"], 500)
        yield TrainerEvent(event["event"], event["data"])


async def _give_way(process: Process, busy: Busy) -> None:
    """Let the trainer wait for as long as somebody waits for an answer."""
    while True:
        await busy.wanted()
        await _say(process, "pause")
        while busy.depth:
            await asyncio.sleep(0.05)
        await _say(process, "go")


async def _say(process: Process, word: str) -> None:
    if process.stdin is not None:
        with suppress(ConnectionError):  # it has just ended, which is told elsewhere
            process.stdin.write(f"{word}\n".encode())
            await process.stdin.drain()


async def _end(process: Process) -> None:
    """End a trainer and wait until it is gone; a moment later by force."""
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), _GRACE_S)
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _death(status: int) -> LorebookError:
    how = f"signal {-status}" if status < 0 else f"exit status {status}"
    return LorebookError(
        f"The trainer died ({how}); what it had learnt is in its last checkpoint.",
        "Go on from there: lorebook jobs resume. What it said: lorebook jobs logs",
    )
