"""The parent's side of the indexer: starts a worker for a root, hands on its events, ends it when nobody listens."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lorebook_api.errors import LorebookError, from_body
from lorebook_api.schema import IndexReport, Progress, Skipped
from lorebook_daemon.index.storage import index_folder
from lorebook_daemon.index.worker import Job

log = logging.getLogger(__name__)

_LINE_LIMIT = 64 * 1024 * 1024  # a report names every skipped file
_GRACE_S = 5.0


Events = AsyncGenerator[Progress | IndexReport, None]
"""What a run says: progress, one report as soon as words can be searched, then progress until meanings can be too."""


@dataclass
class _Turn:
    """Who works on one root: `words` is held during stage one, `process` may be ended after it."""

    words: asyncio.Lock = field(default_factory=asyncio.Lock)
    process: Process | None = None


class Indexer:
    """Runs workers, one a root; different roots run side by side.

    `cache` is `Home.cache`; `embedder_folder` holds the embedder's files, None leaves vectors out.
    """

    def __init__(self, cache: Path, embedder_folder: Path | None, max_file_mb: int) -> None:
        self._cache = cache
        self._embedder_folder = embedder_folder
        self._max_file_mb = max_file_mb
        self._turns: dict[Path, _Turn] = {}

    async def run(self, root: Path, full: bool = False) -> Events:
        """Yield Progress, one IndexReport when words can be searched, then Progress until vectors are there too.

        A second run of the same root waits for the first one's report, then ends it and takes over the vectors.
        Closing the iterator ends the worker; nothing committed is lost. Raises what the worker reports (see `update`
        and `embed_missing`), and LorebookError where it dies.
        """
        folder = index_folder(self._cache, root)
        turn = self._turns.setdefault(folder, _Turn())
        await turn.words.acquire()
        process, in_words = None, True
        try:
            before, turn.process = turn.process, None
            await _end(before)
            process = turn.process = await self._start(root, folder, full)
            async for event in _events(process):
                if isinstance(event, IndexReport):
                    turn.words.release()
                    in_words = False
                yield event
            if turn.process is process and process.returncode != 0:
                raise _death(root, process.returncode)
        finally:
            await _end(process)
            if in_words:
                turn.words.release()

    async def _start(self, root: Path, folder: Path, full: bool) -> Process:
        embedder = str(self._embedder_folder or "")
        job = Job(str(root), str(folder), self._max_file_mb, full, embedder_folder=embedder)
        return await asyncio.create_subprocess_exec(
            # -P: `lorebook serve` may stand in a folder whose queue.py is not the standard library's.
            *(sys.executable, "-P", "-m", "lorebook_daemon.index.worker", json.dumps(asdict(job))),
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            limit=_LINE_LIMIT,
        )


async def _events(process: Process) -> Events:
    """Yield what a worker says until it ends; its stderr goes to the log."""
    out, err = process.stdout, process.stderr
    if out is None or err is None:
        raise ValueError("a worker is listened to through pipes")
    logging_it = asyncio.create_task(_log(err))
    try:
        async for line in out:
            event = _event(json.loads(line))
            if event is not None:
                yield event
        await process.wait()
    finally:
        logging_it.cancel()


async def _log(stderr: asyncio.StreamReader) -> None:
    async for line in stderr:
        log.warning("indexer: %s", line.decode("utf-8", "replace").rstrip())


def _event(line: dict[str, Any]) -> Progress | IndexReport | None:
    """Return the event that a line tells of, None for the last one; raises the error that it tells of."""
    match line.pop("event"):
        case "progress":
            return Progress(**line)
        case "indexed":
            report = line["report"]
            skipped = tuple(Skipped(**each) for each in report["skipped"])
            return IndexReport(**{**report, "skipped": skipped, "notices": tuple(report["notices"])})
        case "done":
            return None
        case _:
            raise from_body(line, 500)


async def _end(process: Process | None) -> None:
    """End a worker and wait until it is gone; a moment later by force."""
    if process is None or process.returncode is not None:
        return
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), _GRACE_S)
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _death(root: Path, status: int | None) -> LorebookError:
    how = f"signal {-status}" if status is not None and status < 0 else f"exit status {status}"
    return LorebookError(
        f"The indexer of {root} died ({how}). The index is as it was before.",
        f"Try again: lorebook index {root}. What it said is in: lorebook logs",
    )
