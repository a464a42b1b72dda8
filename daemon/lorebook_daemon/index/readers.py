"""Files made ready by processes beside this one, as many as there are cores.

No file is read in this process: what hangs, eats memory or crashes is ended there, and the work goes on here.
"""

from __future__ import annotations

import atexit
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from queue import SimpleQueue
from typing import IO

import psutil

from lorebook_api.errors import LorebookError
from lorebook_daemon.index.ahead import started
from lorebook_daemon.index.bags import Bags
from lorebook_daemon.index.batch import Batch, Ready, Wanted
from lorebook_daemon.index.bounds import Bounds, Watch, kill
from lorebook_daemon.index.frames import receive, send
from lorebook_daemon.index.reader import BEGINS, GREETING
from lorebook_daemon.index.wire import asked, batch_in

BOUNDS = Bounds(seconds=100)
"""What a reader may take for one file: more time than `loaders.apart` gives its child, whose reasons are the better."""
_WORTH_IT = 3_000_000  # bytes; what is less is read by the time that more processes have started
_FILE = 2_000  # bytes that take as long to read as to open a file does
_BATCH = 1_000_000  # bytes of files; an answer of that size is some megabytes
_HERE = 50_000  # the same, where who waits may stop the work after each
_MOST_FILES = 100
_MOST = 8  # who writes the database is the slowest from there on
_AHEAD = 2  # batches a reader, so that none waits while the last one's answer is written


def ready(wanted: Sequence[Wanted], alone: bool = False) -> Generator[Batch, None, None]:
    """Yield the files made ready, in the order wanted; close the iterator where not all are taken.

    Few bytes are read by one process, which is kept for the next, and many by several. `alone` has one process read,
    little at a time, and nothing while the iterator is not asked. A file that hangs, takes too much memory or ends the
    process that reads it has no passages, and says so. Raises LorebookError where the processes do not start.
    """
    if not wanted:
        return
    batches = list(_batches(wanted, _HERE if alone else _BATCH))
    few = sum(one.stat.size + _FILE for one in wanted) < _WORTH_IT
    count = 1 if alone or few else min(_MOST, len(batches), psutil.cpu_count(logical=False) or 1)
    readers = _Readers(count, ahead=1 if alone else _AHEAD * count)
    try:
        yield from readers.read(batches)
    finally:
        readers.close()


class _Died(Exception):
    """A reader ended while it read; the message is why, as it is told of the file at fault."""

    def __init__(self, ended: str, status: int) -> None:
        """Take why it was `ended` for what it took, empty where it ended by itself, and its exit status."""
        super().__init__(ended or f"damaged: what reads it crashed ({_ending(status)})")


class _Reader:
    """One process, which reads one batch after the other."""

    def __init__(self) -> None:
        self._process = started()
        self._greeted = False

    def read(self, wanted: Sequence[Wanted]) -> Batch:
        """Return the files made ready; raises _Died, and LorebookError where the process did not even start."""
        into, out = self._process.stdin, self._process.stdout
        if into is None or out is None:
            raise ValueError("a reader is asked through pipes")
        self._greet(out)
        watch = Watch(self._process.pid, BOUNDS, family=False)
        try:
            send(into, asked(wanted))
            while (answer := receive(out))[0] == BEGINS:
                watch.renew()
        except (OSError, EOFError) as error:
            raise _Died(watch.end(), self._process.wait()) from error
        finally:
            watch.end()
        return batch_in(answer)

    def _greet(self, out: IO[bytes]) -> None:
        """Wait until the process has started."""
        try:
            if not self._greeted:
                self._greeted = receive(out)[0] == GREETING
        except (OSError, EOFError) as error:
            how = _ending(self._process.wait())
            raise LorebookError(f"What reads files does not start ({how}).", "See: lorebook logs") from error

    @property
    def lives(self) -> bool:
        """Whether the process is there."""
        return self._process.poll() is None

    def fall_in(self) -> None:
        """Give way to others as much as this process does by now."""
        with suppress(psutil.Error):
            reader, own = psutil.Process(self._process.pid), psutil.Process().nice()
            if reader.nice() != own:
                reader.nice(own)

    def kill(self) -> None:
        """End the process at once, and what it started."""
        if self.lives:
            kill(self._process.pid)
        self._process.wait()

    def close(self) -> None:
        """End the process and close its pipes; nobody asks it any more."""
        self.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):  # bytes for a process that is gone
                    pipe.close()


class _Kept:
    """The one reader that waits for the next files that are few; it ends with this process."""

    def __init__(self) -> None:
        self._reader: list[_Reader] = []

    def take(self) -> _Reader:
        """Return the reader that waits, or a new one."""
        with suppress(IndexError):
            reader = self._reader.pop()
            if reader.lives:
                reader.fall_in()
                return reader
            reader.close()
        return _Reader()

    def put(self, reader: _Reader) -> None:
        """Let a reader that has nothing to do wait; one that waited already is ended."""
        self.close()
        self._reader.append(reader)

    def close(self) -> None:
        """End the reader, where one waits."""
        while self._reader:
            self._reader.pop().close()


@cache
def kept() -> _Kept:
    """Return this process's keeper of a reader."""
    made = _Kept()
    atexit.register(made.close)
    return made


class _Readers:
    """Readers, each asked by a thread of its own."""

    def __init__(self, count: int, ahead: int) -> None:
        self._threads = ThreadPoolExecutor(count, "reader")
        self._idle: SimpleQueue[_Reader] = SimpleQueue()
        self._ahead = ahead
        self._all = [kept().take(), *(_Reader() for _ in range(count - 1))]
        self._closing = self._through = False
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
        self._through = True

    def close(self) -> None:
        """End the processes, whatever they are at; one that read all there was to read is kept."""
        self._closing = True
        if self._through and len(self._all) == 1:
            kept().put(self._all.pop())
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
                return _left_out(batch[0], death)
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


def _left_out(one: Wanted, death: _Died) -> Batch:
    return Batch((Ready(one.stat, why=str(death)),), Bags.of(()))


def _ending(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"exit status {status}"
