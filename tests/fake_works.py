"""A scheduler over a fake llama.cpp, with works that read so many tokens and then write so many."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fake_llama import FakeLlama
from lorebook_api.errors import LorebookError
from lorebook_daemon.engine.child.adapters import AdapterSet
from lorebook_daemon.engine.child.scheduler import Scheduler, Task
from lorebook_daemon.engine.child.work import NoSlot, Piece, Wait, Work
from lorebook_daemon.engine.protocol import Priority, Turn


class Lanes:
    """Sequences for works: given out, and given back."""

    def __init__(self, llama: FakeLlama) -> None:
        self._llama = llama
        self._free = list(range(llama.sequences))

    def take(self) -> int:
        if not self._free:
            raise NoSlot
        return self._free.pop(0)

    def leave(self, sequence: int) -> None:
        self._llama.remove(sequence)
        self._free.append(sequence)

    def evict(self) -> bool:
        return False


@dataclass(eq=False)
class Sent:
    """A task and how it ended."""

    task: Task
    results: list[Any] = field(default_factory=list)
    errors: list[LorebookError] = field(default_factory=list)

    @property
    def ended(self) -> bool:
        return bool(self.results or self.errors)


class Stage:
    """A scheduler with works that read so many tokens and then write so many."""

    def __init__(self, n_ctx: int = 4096) -> None:
        self.llama = FakeLlama(n_ctx)
        self.lanes = Lanes(self.llama)
        self.scheduler = Scheduler(self.llama, self.lanes)  # type: ignore[arg-type]

    def work(self, read: int, write: int, adapters: AdapterSet) -> Work[int]:
        """Read and write; where room is short, wait and begin anew, as the real works do."""
        while True:
            try:
                return (yield from self._work(read, write, adapters))
            except NoSlot:
                yield Wait.room

    def _work(self, read: int, write: int, adapters: AdapterSet) -> Work[int]:
        sequence = self.lanes.take()
        try:
            rows = yield Piece(sequence, 0, [1] * read, adapters, 1)
            for n in range(write):
                assert len(rows) == 1
                self.llama.logits(rows[0])
                rows = yield Piece(sequence, read + n, [2], adapters, 1)
            return read + write
        finally:
            self.lanes.leave(sequence)

    def send(
        self,
        read: int = 20,
        write: int = 0,
        priority: Priority = Priority.ask,
        user: str = "",
        adapters: AdapterSet = (),
        room: int | None = None,
    ) -> Sent:
        return self.put(self.work(read, write, adapters), priority, user, read + write if room is None else room)

    def put(self, work: Work[Any], priority: Priority = Priority.ask, user: str = "", room: int = 0) -> Sent:
        sent: Sent
        task = Task(
            work,
            Turn(priority, user),
            room,
            lambda result: sent.results.append(result),
            lambda e: sent.errors.append(e),
        )
        sent = Sent(task)
        self.scheduler.add(task)
        return sent

    def step(self, during: Callable[[], None] = lambda: None) -> list[Piece]:
        """Take one step; return what was decoded."""
        self.llama.during, before = during, len(self.llama.batches)
        self.llama.resume()
        self.scheduler.step()
        return self.llama.batches[-1] if len(self.llama.batches) > before else []

    def run(self) -> None:
        for _ in range(10_000):
            if not self.scheduler.busy:
                return
            self.step()
        raise AssertionError("it never ends")
