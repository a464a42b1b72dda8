"""The parent's side of the indexer: gives a worker a job, hands on what it says, ends it when nobody listens."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lorebook_api.errors import LorebookError, from_body
from lorebook_api.indexing import FileChange, IndexReport, Progress, Skipped
from lorebook_daemon.index.storage import index_folder
from lorebook_daemon.index.worker import MUCH, Job

log = logging.getLogger(__name__)

_LINE_LIMIT = 64 * 1024 * 1024  # a report names every skipped file
_GRACE_S = 5.0


Events = AsyncGenerator[Progress | IndexReport, None]
"""What a run says: progress, one report as soon as words can be searched, then progress until meanings can be too."""


@dataclass
class _Turn:
    """Who works on one root: `words` is held during stage one, `worker` may be ended after it."""

    words: asyncio.Lock = field(default_factory=asyncio.Lock)
    worker: _Worker | None = None


class Indexer:
    """Has workers do jobs, one a root; different roots are worked on side by side.

    `cache` is `Home.cache`; `embedder_folder` holds the embedder's files, None leaves vectors out. `cpu_percent` bounds
    each worker to a part of one processor, `splitter` says how files are cut (see `splitting.parse_splitting`).
    """

    def __init__(
        self,
        cache: Path,
        embedder_folder: Path | None,
        max_file_mb: int,
        cpu_percent: int = 100,
        splitter: str = "structure",
    ) -> None:
        self._splitter = splitter
        self.embedder_folder = embedder_folder
        self._cache = cache
        self._max_file_mb = max_file_mb
        self._cpu_percent = cpu_percent
        self._turns: dict[Path, _Turn] = {}
        self._ready = False
        self._spare: asyncio.Task[_Worker] | None = None

    async def run(self, root: Path, full: bool = False, paths: Collection[str] | None = None) -> Events:
        """Yield Progress, one IndexReport when words can be searched, then Progress until vectors are there too.

        With `paths` it is looked only where something happened to these (see `update`). A second run of the same root
        waits for the first one's report, then ends it and takes over the vectors. Closing the iterator ends the
        worker; nothing committed is lost. Raises what the worker reports (see `update` and `embed_missing`), and
        LorebookError where it dies.
        """
        folder = index_folder(self._cache, root)
        turn = self._turns.setdefault(folder, _Turn())
        await turn.words.acquire()
        worker, in_words = None, True
        try:
            before, turn.worker = turn.worker, None
            if before is not None:
                await before.end()
            worker = turn.worker = await self._engage()
            async with aclosing(worker.do(self._job(root, folder, full, paths))) as events:
                async for event in events:
                    if isinstance(event, IndexReport):
                        turn.words.release()
                        in_words = False
                    elif event.total > MUCH:
                        self._have_spare()  # this one is busy for long, and spent then
                    yield event
            if turn.worker is worker and not worker.done:
                raise _death(root, worker.process.returncode)
        finally:
            if turn.worker is worker:
                turn.worker = None
            if worker is not None:
                await self._put_back(worker)
            if in_words:
                turn.words.release()

    def hold(self, root: Path, held: bool) -> None:
        """Let the worker of `root`, if there is one, begin no further piece of work, or go on."""
        turn = self._turns.get(index_folder(self._cache, root))
        if turn is not None and turn.worker is not None:
            turn.worker.order(hold=held)

    def stay_ready(self, ready: bool) -> None:
        """Have a worker started ahead from now on, so that a saved file need not wait for one, or no more."""
        self._ready = ready
        if ready:
            self._have_spare()

    async def close(self) -> None:
        """End the worker that nobody needed."""
        self._ready = False
        if self._spare is not None:
            spare, self._spare = self._spare, None
            await (await spare).end()

    async def _engage(self) -> _Worker:
        """Return the worker that was started ahead, or a new one."""
        if self._spare is not None:
            spare, self._spare = self._spare, None
            worker = await asyncio.shield(spare)
            if worker.process.returncode is None:
                return worker
        return await _Worker.start()

    async def _put_back(self, worker: _Worker) -> None:
        """Keep a worker for the next job where that is wanted and it is fit for one; else end it."""
        if self._ready and worker.fit:
            before, self._spare = self._spare, asyncio.create_task(_same(worker))
            if before is not None:  # which has read and embedded nothing yet
                await (await before).end()
            return
        await worker.end()
        self._have_spare()

    def _have_spare(self) -> None:
        if self._ready and self._spare is None:
            self._spare = asyncio.create_task(_Worker.start(rehearsing=str(self.embedder_folder or "")))

    def _job(self, root: Path, folder: Path, full: bool, paths: Collection[str] | None) -> Job:
        return Job(
            root=str(root),
            folder=str(folder),
            max_file_mb=self._max_file_mb,
            full=full,
            embedder_folder=str(self.embedder_folder or ""),
            paths=None if paths is None else tuple(sorted(paths)),
            splitter=self._splitter,
            cpu_percent=self._cpu_percent,
        )


class _Worker:
    """A worker's process; it does one job at a time."""

    def __init__(self, process: Process) -> None:
        if process.stdin is None or process.stdout is None or process.stderr is None:
            raise ValueError("a worker is spoken with through pipes")
        self.process = process
        self.done = False
        self.fit = False
        self._in, self._out = process.stdin, process.stdout
        self._logging = asyncio.create_task(_log(process.stderr))

    @classmethod
    async def start(cls, rehearsing: str | None = None) -> _Worker:
        """Return a new worker, which waits for its first job.

        `rehearsing` with the embedder's folder, which may be empty, takes time now and saves it then.
        """
        worker = cls(
            await asyncio.create_subprocess_exec(
                # -P: `lorebook serve` may stand in a folder whose queue.py is not the standard library's.
                *(sys.executable, "-P", "-m", "lorebook_daemon.index.start"),
                stdin=PIPE,
                stdout=PIPE,
                stderr=PIPE,
                limit=_LINE_LIMIT,
            )
        )
        if rehearsing is not None:
            worker.order(rehearse=rehearsing)
        return worker

    def order(self, **order: Any) -> None:
        """Tell the worker something; one that has ended hears nothing."""
        self._in.write(json.dumps(order).encode() + b"\n")

    async def do(self, job: Job) -> Events:
        """Give the worker a job and yield what it says, until the job is done or the process ends."""
        self.done = self.fit = False
        self.order(job=asdict(job))
        async for line in self._out:
            told = json.loads(line)
            if told["event"] == "done":
                self.done, self.fit = True, not told["spent"]
                return
            yield _event(told)
        await self.process.wait()

    async def end(self) -> None:
        """End the process and wait until it is gone; a moment later by force."""
        self.fit = False
        if self.process.returncode is None:
            with suppress(ProcessLookupError):
                self.process.terminate()
            try:
                async with asyncio.timeout(_GRACE_S):  # wait_for may lose a cancellation before Python 3.12
                    await self.process.wait()
            except TimeoutError:
                with suppress(ProcessLookupError):
                    self.process.kill()
                await self.process.wait()
        self._logging.cancel()


async def _same(worker: _Worker) -> _Worker:
    return worker


async def _log(stderr: asyncio.StreamReader) -> None:
    async for line in stderr:
        log.warning("indexer: %s", line.decode("utf-8", "replace").rstrip())


def _event(line: dict[str, Any]) -> Progress | IndexReport:
    """Return the event that a line tells of; raises the error that it tells of."""
    match line.pop("event"):
        case "progress":
            return Progress(**line)
        case "indexed":
            report = line["report"]
            skipped = tuple(Skipped(**each) for each in report["skipped"])
            changes = tuple(FileChange(**each) for each in report["changes"])
            return IndexReport(
                **{**report, "skipped": skipped, "notices": tuple(report["notices"]), "changes": changes}
            )
        case _:
            raise from_body(line, 500)


def _death(root: Path, status: int | None) -> LorebookError:
    how = f"signal {-status}" if status is not None and status < 0 else f"exit status {status}"
    return LorebookError(
        f"The indexer of {root} died ({how}). The index is as it was before.",
        f"Try again: lorebook index {root}. What it said is in: lorebook logs",
    )
