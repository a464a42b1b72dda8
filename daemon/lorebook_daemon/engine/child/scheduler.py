"""Decides, step by step, what is decoded next: several requests in one batch, the most urgent first.

Continuous batching (cf. Orca, OSDI 2022): every answer that is being written adds its next token to the batch; prompts
are read in chunks that fill it up, small ones while answers are being written, so that none of these stalls
(cf. Sarathi-Serve, arXiv:2403.02310). A batch holds requests of one adapter set; the sets take turns.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from lorebook_api.errors import LorebookError, TooLong
from lorebook_daemon.engine.child.adapters import AdapterSet
from lorebook_daemon.engine.child.llama import BATCH, MOST_LOGITS, Llama, Stopped
from lorebook_daemon.engine.child.reader import Reader
from lorebook_daemon.engine.child.work import NoSlot, Piece, Rows, Wait, Work
from lorebook_daemon.engine.protocol import Priority, Turn

_STEP_SECONDS = 0.25
"""How long a step may take while answers are being written: prompts are read in chunks of that size."""

_SMALL = 16
"""Tokens up to which a piece is the next token of an answer, with guesses, and no prompt."""

_LEAST_CHUNK = 16

_CHUNK_OF_STATES = 128
"""Tokens at a time into a recurrent state, whose batch cannot be given up once it has begun."""

_LONGEST_WAIT = 1.0
"""Seconds after which an adapter set gets its step, whatever else is urgent."""


@dataclass(eq=False)
class Task:
    """A request: its work, whose turn it is, and the room that it takes in the context."""

    work: Work[Any]
    turn: Turn
    room: int
    done: Callable[[Any], None]
    failed: Callable[[LorebookError], None]
    arrival: int = 0
    piece: Piece | None = None
    """What it wants decoded next."""
    waits: Wait | None = None
    adapters: AdapterSet = ()
    stepped: float = 0.0
    alone: bool = False
    """Whether it found no room since it was last decoded though nobody else was at work."""


class Scheduler:
    """Carries out tasks over one context. All methods but `urge` belong to one thread."""

    def __init__(self, llama: Llama, reader: Reader) -> None:
        """Begin with no tasks."""
        self._llama, self._reader = llama, reader
        self._line: list[Task] = []
        self._active: list[Task] = []
        self._served: defaultdict[str, float] = defaultdict(float)
        self._arrivals = 0
        self._speed = 100.0
        """Tokens of prompts that are read in a second."""
        self._batch: list[Task] = []

    @property
    def busy(self) -> bool:
        """Whether there is anything to do."""
        return bool(self._line or self._active)

    @property
    def adapter_sets(self) -> list[AdapterSet]:
        """The adapters that tasks in hand still need."""
        return [task.adapters for task in (*self._line, *self._active)]

    def add(self, task: Task) -> None:
        """Put a task in the line. A user who was away begins with as little served as the one who got least."""
        self._arrivals += 1
        task.arrival = self._arrivals
        users = {one.turn.user for one in (*self._line, *self._active)}
        least = min((self._served[user] for user in users), default=0.0)
        if task.turn.user not in users:
            self._served[task.turn.user] = max(self._served[task.turn.user], least)
        for user in [user for user, served in self._served.items() if user not in users and served < least]:
            del self._served[user]
        self._line.append(task)

    def cancel(self, task: Task) -> None:
        """End a task; what it read so far stays in the context as long as there is room."""
        if task in self._line:
            self._line.remove(task)
        elif task in self._active:
            self._end(task)
            self._room_was_left()

    def urge(self, urgency: Priority | None, cancelled: Sequence[Task] = ()) -> None:
        """Give up the batch that is being decoded, where it is of less urgent or cancelled tasks; from any thread."""
        batch = self._batch
        if not batch:
            return
        less = urgency is not None and all(task.turn.priority > urgency for task in batch)
        if less or any(task in cancelled for task in batch):
            self._llama.stop()

    # -- one step

    def step(self) -> None:
        """Take in whoever finds room, and decode one batch."""
        self._admit()
        for task in [task for task in self._active if task.waits is Wait.block]:
            if task.waits is Wait.block:  # still, as below
                self._go_on(task, [])
        chosen = self._compose()
        if not chosen:
            self._unlock()
            return
        tasks, pieces = [task for task, _ in chosen], [piece for _, piece in chosen]
        self._batch = tasks
        begun = time.perf_counter()
        try:
            rows = self._llama.decode(pieces)
        except Stopped:
            self._take_back(pieces)
        except NoSlot:
            self._take_back(pieces)
            self._make_room()
        except LorebookError as error:
            self._take_back(pieces)
            for task in tasks:
                self._fail(task, error)
        else:
            self._note(pieces, time.perf_counter() - begun)
            self._deliver(chosen, rows)
        finally:
            self._batch = []

    def _admit(self) -> None:
        """Take tasks from the line as long as they fit beside those in hand: the urgent first, users in turn.

        What is less urgent does not count: it gives way when the room is needed.
        """
        while self._line:
            task = min(self._line, key=self._rank)
            beside = [one.room for one in self._active if one.turn.priority <= task.turn.priority]
            if beside and sum(beside) + task.room > self._llama.n_ctx:
                return
            self._line.remove(task)
            self._active.append(task)
            self._go_on(task, None)

    def _rank(self, task: Task) -> tuple[int, float, int]:
        return (task.turn.priority, self._served[task.turn.user], task.arrival)

    def _compose(self) -> list[tuple[Task, Piece]]:
        """Choose the batch: tasks of one adapter set, those that are writing first, then prompts by rank."""
        ready = self._allowed([task for task in self._active if task.piece])
        if not ready:
            return []
        now = time.monotonic()
        first = min(ready, key=lambda t: (t.turn.priority if now - t.stepped < _LONGEST_WAIT else 0, t.stepped))
        assert first.piece  # noqa: S101 - ready are those with a piece
        same = [task for task in ready if task.piece and _together(task.piece, first.piece)]
        waited_for = any(_writes(task) and task.turn.priority <= Priority.complete for task in ready)
        left = self._chunk() if waited_for else BATCH
        if self._llama.recurrent:
            left = min(left, _CHUNK_OF_STATES)
        chosen, free, logits = list[tuple[Task, Piece]](), BATCH, MOST_LOGITS
        for task in sorted(same, key=lambda task: (not _writes(task), self._rank(task))):
            piece = _part(task.piece, free if _writes(task) else min(left, free), free, logits)
            if piece:
                task.stepped = now
                chosen.append((task, piece))
                left -= 0 if _writes(task) else len(piece.tokens)
                free, logits = free - len(piece.tokens), logits - piece.logits
        return chosen

    def _allowed(self, ready: list[Task]) -> list[Task]:
        """Let evaluation and reading ahead pause while others ask or complete, unless one of these waits for them."""
        if any(task.waits and task.turn.priority <= Priority.complete for task in self._active):
            return ready
        urgent = min((task.turn.priority for task in ready), default=Priority.warm)
        return [task for task in ready if task.turn.priority <= max(urgent, Priority.complete)]

    def _chunk(self) -> int:
        return max(_LEAST_CHUNK, int(self._speed * _STEP_SECONDS) // _LEAST_CHUNK * _LEAST_CHUNK)

    def _note(self, pieces: Sequence[Piece], seconds: float) -> None:
        """Learn how fast prompts are read."""
        tokens = sum(len(piece.tokens) for piece in pieces)
        if tokens >= _LEAST_CHUNK:
            self._speed += 0.3 * (tokens / max(seconds, 1e-6) - self._speed)

    def _deliver(self, chosen: Sequence[tuple[Task, Piece]], rows: Sequence[Rows]) -> None:
        for (task, piece), found in zip(chosen, rows, strict=True):
            self._served[task.turn.user] += len(piece.tokens)
            task.alone = False
            if not task.piece:  # it was cancelled: another one of its command has failed
                continue
            if len(piece.tokens) < len(task.piece.tokens):
                task.piece = task.piece.rest(len(piece.tokens))
            else:
                self._go_on(task, found)

    def _take_back(self, pieces: Sequence[Piece]) -> None:
        """Drop what a batch that failed may have read."""
        for piece in pieces:
            self._llama.remove(piece.sequence, piece.position)

    # -- a task's life

    def _go_on(self, task: Task, rows: Rows | None) -> None:
        """Let a task take its next step."""
        self._advance(task, lambda: task.work.send(rows) if rows is not None else next(task.work))

    def _advance(self, task: Task, step: Callable[[], Piece | Wait]) -> None:
        """Take a task's step, and note what follows: it asks for a piece, or waits, or has ended."""
        task.piece = task.waits = None
        try:
            wanted = step()
        except StopIteration as end:
            self._end(task)
            task.done(end.value)
            self._room_was_left()
        except LorebookError as error:
            self._fail(task, error)
        else:
            if isinstance(wanted, Wait):
                task.waits = wanted
            else:
                task.piece = wanted

    def _fail(self, task: Task, error: LorebookError) -> None:
        if task in self._active:
            self._end(task)
            task.failed(error)
            self._room_was_left()

    def _end(self, task: Task) -> None:
        self._active.remove(task)
        task.piece = task.waits = None
        task.work.close()

    def _room_was_left(self) -> None:
        """Wake those that wait for room, now that a task has ended: the first in rank first."""
        for task in sorted((task for task in self._active if task.waits is Wait.room), key=self._rank):
            if task.waits is Wait.room:  # still: the steps of the others may have woken or cancelled it
                self._go_on(task, [])

    def _make_room(self) -> None:
        """Empty an idle lane, or have the last in rank give its room back and wait."""
        if self._reader.evict():
            return
        holders = [task for task in self._active if task.waits is not Wait.room]
        victim = max((task for task in holders if task.piece), key=self._rank)
        if len(holders) > 1:
            self._advance(victim, lambda: victim.work.throw(NoSlot()))
        else:
            self._fail(victim, _too_long())

    def _unlock(self) -> None:
        """Nothing can be decoded: let the first of those that wait for room go on alone, or say that it never fits."""
        waiting = [task for task in self._active if task.waits is Wait.room]
        if not waiting:
            return
        first = min(waiting, key=self._rank)
        if first.alone:
            self._fail(first, _too_long())
        else:
            first.alone = True
            self._go_on(first, [])


def _writes(task: Task) -> bool:
    """Whether a task wants the next token of an answer, or no more than that takes."""
    return task.piece is not None and len(task.piece.tokens) <= _SMALL


def _together(one: Piece, other: Piece) -> bool:
    """Whether two pieces may stand in one batch."""
    return one.adapters == other.adapters and one.hidden == other.hidden


def _too_long() -> TooLong:
    return TooLong("this does not fit the context.", "Set a larger one: LOREBOOK_N_CTX.")


def _part(piece: Piece | None, tokens: int, free: int, logits: int) -> Piece | None:
    """Return as much of a piece as finds place: all of it, or its beginning without logits; None where nothing does.

    Tokens whose logits are wanted stay together, in one batch, since the rows of an earlier one are gone: those alone
    may take more than `tokens`, up to what is `free`.
    """
    if not piece:
        return None
    size, silent = len(piece.tokens), len(piece.tokens) - piece.logits
    if size <= tokens or (not silent and size <= free):
        return piece if piece.logits <= logits else None
    part = min(tokens, silent)
    return piece.first(part) if part > 0 else None
