"""Many files made ready at once: by processes beside this one, as many as there are cores."""

from __future__ import annotations

import subprocess
import sys
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from queue import SimpleQueue

import psutil

from lorebook_api.errors import LorebookError
from lorebook_daemon.index.bags import Bags
from lorebook_daemon.index.batch import Batch, Ready, Wanted, prepare
from lorebook_daemon.index.frames import receive, send
from lorebook_daemon.index.reader import GREETING

_WORTH_IT = 3_000_000  # bytes; what is less is read by the time a process has started
_BATCH = 1_000_000  # bytes of files; an answer of that size is some megabytes
_HERE = 50_000  # the same, where who waits may stop the work after each
_MOST_FILES = 100
_MOST = 8  # who writes the database is the slowest from there on
_AHEAD = 2  # batches a reader, so that none waits while the last one's answer is written


def ready(wanted: Sequence[Wanted], alone: bool = False) -> Generator[Batch, None, None]:
    """Yield the files made ready, in the order wanted; close the iterator where not all are taken.

    Few bytes are read here, and all where this process is to do it `alone`; many by processes. A file that ends the
    process that reads it has no passages, and says so. Raises LorebookError where the processes do not start.
    """
    batches = list(_batches(wanted, _BATCH))
    cores = min(_MOST, len(batches), psutil.cpu_count(logical=False) or 1)
    if alone or cores < 2 or sum(one.stat.size for one in wanted) < _WORTH_IT:
        yield from map(prepare, _batches(wanted, _HERE))
        return
    readers = _Readers(cores)
    try:
        yield from readers.read(batches)
    finally:
        readers.close()


class _Died(Exception):
    """A reader ended while it read."""


class _Reader:
    """One process, which reads one batch after the other."""

    def __init__(self) -> None:
        # -P: `lorebook serve` may stand in a folder whose queue.py is not the standard library's.
        command = [sys.executable, "-P", "-m", "lorebook_daemon.index.reader"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._greeted = False

    def read(self, wanted: Sequence[Wanted]) -> Batch:
        """Return the files made ready; raises _Died, and LorebookError where the process did not even start."""
        pipes = self._process.stdin, self._process.stdout
        if pipes[0] is None or pipes[1] is None:
            raise ValueError("a reader is asked through pipes")
        try:
            if not self._greeted:
                self._greeted = receive(pipes[1]) == GREETING
            send(pipes[0], wanted)
            answer: Batch = receive(pipes[1])
        except (OSError, EOFError) as error:
            how = _ending(self._process.wait())
            if not self._greeted:
                raise LorebookError(f"What reads files does not start ({how}).", "See: lorebook logs") from error
            raise _Died(how) from error
        return answer

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """End the process and close its pipes; nobody asks it any more."""
        self.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):  # bytes for a process that is gone
                    pipe.close()


class _Readers:
    """Readers, each asked by a thread of its own."""

    def __init__(self, count: int) -> None:
        self._threads = ThreadPoolExecutor(count, "reader")
        self._idle: SimpleQueue[_Reader] = SimpleQueue()
        self._ahead = _AHEAD * count
        self._all = [_Reader() for _ in range(count)]
        self._closing = False
        for reader in self._all:
            self._idle.put(reader)

    def read(self, batches: Sequence[Sequence[Wanted]]) -> Iterator[Batch]:
        """Yield what comes of each batch, in order; only a few are ready before they are taken."""
        running: deque[Future[Batch]] = deque()
        for batch in batches:
            if len(running) == self._ahead:
                yield running.popleft().result()
            running.append(self._threads.submit(self._read, batch))
        while running:
            yield running.popleft().result()

    def close(self) -> None:
        """End the processes, whatever they are at."""
        self._closing = True
        for reader in self._all:
            reader.kill()
        self._threads.shutdown(cancel_futures=True)
        for reader in self._all:
            reader.close()

    def _read(self, batch: Sequence[Wanted], tries: int = 2) -> Batch:
        """Return the files made ready; the one at fault where a reader dies is found by reading each alone."""
        reader = self._idle.get()
        try:
            return reader.read(batch)
        except _Died as death:
            if self._closing:
                raise
            reader = self._replaced(reader)
            if tries == 1:
                return _crashed(batch[0], death)
        finally:
            self._idle.put(reader)
        return Batch.join([self._read([one], tries=1) for one in batch])

    def _replaced(self, reader: _Reader) -> _Reader:
        reader.close()
        new = self._all[self._all.index(reader)] = _Reader()
        return new


def _batches(wanted: Sequence[Wanted], most: int) -> Iterator[list[Wanted]]:
    batch: list[Wanted] = []
    size = 0
    for one in wanted:
        if batch and (size + one.stat.size > most or len(batch) == _MOST_FILES):
            yield batch
            batch, size = [], 0
        batch.append(one)
        size += one.stat.size
    if batch:
        yield batch


def _crashed(one: Wanted, death: _Died) -> Batch:
    return Batch((Ready(one.stat, why=f"damaged: what reads it crashed ({death})"),), Bags.of(()))


def _ending(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"exit status {status}"
