"""Who is decoded when, by what a fake llama.cpp was asked to decode."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fake_llama import FakeLlama, logits_after
from lorebook_api.errors import EngineFailed, LorebookError, TooLong
from lorebook_daemon.engine import scheduler as scheduling
from lorebook_daemon.engine.adapters import Adapter, AdapterSet
from lorebook_daemon.engine.llama import BATCH, MOST_LOGITS
from lorebook_daemon.engine.protocol import Priority, Turn
from lorebook_daemon.engine.scheduler import Scheduler, Task
from lorebook_daemon.engine.work import NoSlot, Piece, Rows, Wait, Work

ASK, COMPLETE, EVAL, WARM = Priority
LORA: AdapterSet = (Adapter("a.gguf", "a", 1.0),)
OTHER: AdapterSet = (Adapter("b.gguf", "b", 1.0),)


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
        priority: Priority = ASK,
        user: str = "",
        adapters: AdapterSet = (),
        room: int | None = None,
    ) -> Sent:
        return self.put(self.work(read, write, adapters), priority, user, read + write if room is None else room)

    def put(self, work: Work[Any], priority: Priority = ASK, user: str = "", room: int = 0) -> Sent:
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


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """Let time stand still but where a test, or a batch at 400 tokens a second, moves it on."""
    now = [1000.0]

    class Clock:
        monotonic = perf_counter = staticmethod(lambda: now[0])

    monkeypatch.setattr(scheduling, "time", Clock)
    read = FakeLlama._read

    def slowly(self: FakeLlama, piece: Piece) -> list[bytes]:
        now[0] += len(piece.tokens) / 400
        return read(self, piece)

    monkeypatch.setattr(FakeLlama, "_read", slowly)
    yield now


# -- who goes first


@pytest.mark.parametrize("urgent", [ASK, COMPLETE])
@pytest.mark.parametrize("later", [EVAL, WARM])
def test_evaluation_and_reading_ahead_pause_while_somebody_waits_for_an_answer(
    urgent: Priority, later: Priority
) -> None:
    stage = Stage()
    one, other = stage.send(700, priority=later), stage.send(700, 20, priority=urgent)
    while not other.ended:
        stage.step()
    assert not one.ended
    read = sum(len(piece.tokens) for batch in stage.llama.batches for piece in batch)
    assert read == 720, "none of the other's tokens were read meanwhile"
    stage.run()
    assert one.results == [700]


def test_prompts_are_read_in_the_order_of_their_urgency() -> None:
    stage = Stage()
    complete, ask = stage.send(300, priority=COMPLETE), stage.send(300, priority=ASK)
    assert [len(piece.tokens) for piece in stage.step()] == [BATCH]
    stage.step()
    assert ask.ended
    assert not complete.ended
    stage.run()
    assert complete.results == [300]


def test_a_batch_of_less_urgent_work_is_given_up_for_an_ask() -> None:
    stage = Stage()
    warm = stage.send(1000, priority=WARM)
    stage.step()
    stage.step(lambda: stage.scheduler.urge(ASK))
    ask = stage.send(30, priority=ASK)
    assert [len(piece.tokens) for piece in stage.step()] == [30]
    assert ask.ended
    stage.run()
    assert warm.results == [1000]
    assert sum(len(piece.tokens) for batch in stage.llama.batches for piece in batch) == 1000 + BATCH + 30


@pytest.mark.parametrize(("running", "coming"), [(ASK, ASK), (ASK, WARM), (COMPLETE, EVAL), (WARM, WARM)])
def test_a_batch_is_not_given_up_for_what_is_no_more_urgent(running: Priority, coming: Priority) -> None:
    stage = Stage()
    sent = stage.send(30, priority=running)
    stage.step(lambda: stage.scheduler.urge(coming))
    assert sent.ended


def test_a_mixed_batch_is_not_given_up_for_one_as_urgent_as_its_most_urgent() -> None:
    stage = Stage()
    both = stage.send(30, priority=ASK), stage.send(30, priority=COMPLETE)
    stage.step(lambda: stage.scheduler.urge(ASK))
    assert all(sent.ended for sent in both)


def test_an_ask_goes_on_past_evaluations_that_fill_the_context() -> None:
    stage = Stage(n_ctx=400)
    evals = [stage.send(100, priority=EVAL) for _ in range(8)]
    stage.step(lambda: stage.scheduler.urge(ASK))
    ask = stage.send(200, 5, priority=ASK)
    while not ask.ended:
        stage.step()
    assert not any(sent.ended for sent in evals)
    stage.run()
    assert [sent.results for sent in evals] == [[100]] * 8


def test_who_waits_for_a_block_is_not_kept_by_another_who_writes() -> None:
    stage = Stage()
    making = [True]

    def warm() -> Work[None]:
        yield Piece(0, 0, [1] * 2000)
        making.clear()

    def wants_the_block() -> Work[None]:
        while making:
            yield Wait.block
        yield Piece(1, 0, [1] * 10)

    warmed = stage.put(warm(), WARM)
    stage.step(lambda: stage.scheduler.urge(ASK))
    stage.lanes.take(), stage.lanes.take()
    waiting, writing = stage.put(wants_the_block()), stage.send(30, 500)
    while not waiting.ended:
        stage.step()
    assert warmed.ended
    assert not writing.ended


# -- users


def served(stage: Stage) -> dict[int, int]:
    """Return how many tokens were read of each sequence."""
    counted: dict[int, int] = {}
    for batch in stage.llama.batches:
        for piece in batch:
            counted[piece.sequence] = counted.get(piece.sequence, 0) + len(piece.tokens)
    return counted


def test_one_request_does_not_wait_for_all_of_a_busy_user() -> None:
    stage = Stage(n_ctx=700)
    many = [stage.send(300, user="ann") for _ in range(10)]
    for _ in range(4):
        stage.step()
    one = stage.send(300, user="ben")
    while not one.ended:
        stage.step()
    assert sum(sent.ended for sent in many) <= 5, "the three that had ended, and the two in hand"
    stage.run()
    assert all(sent.results == [300] for sent in many)


def test_users_get_the_same_share_of_the_prompts_that_are_read() -> None:
    stage = Stage()
    of = {user: [stage.send(250, user=user) for _ in range(n)] for user, n in (("ann", 7), ("ben", 3), ("cas", 3))}
    ended: dict[str, list[int]] = {user: [] for user in of}
    while stage.scheduler.busy:
        stage.step()
        for user, sent in of.items():
            ended[user].append(sum(one.ended for one in sent))
    at = next(n for n, count in enumerate(ended["ben"]) if count == 3)
    assert ended["ann"][at] <= 4
    assert ended["cas"][at] >= 2


def test_who_was_away_has_nothing_saved_up() -> None:
    stage = Stage(n_ctx=400)
    for _ in range(10):
        stage.send(300, user="ann")
        stage.run()
    first = stage.send(300, 20, user="ann")
    stage.step()
    ben = [stage.send(300, user="ben") for _ in range(5)]
    again = stage.send(300, user="ann")
    while not again.ended:
        stage.step()
    assert first.ended
    assert sum(sent.ended for sent in ben) <= 2, "ben is not owed what ann had while he was away"


def test_users_who_went_are_forgotten() -> None:
    stage = Stage()
    for n in range(200):
        stage.send(10, user=f"user {n}")
        stage.run()
    long = stage.send(10, 2000, user="stays")
    for n in range(200):
        stage.send(10, user=f"guest {n}")
        stage.step(), stage.step()
    assert not long.ended
    assert len(stage.scheduler._served) < 20


# -- batches


def test_chunks_are_small_while_an_answer_is_written(clock: list[float]) -> None:
    stage = Stage()
    writing = stage.send(20, 200)
    stage.step(), stage.step()
    reading = stage.send(2000)
    lasted = []
    while not reading.ended:
        begun = clock[0]
        batch = stage.step()
        lasted.append(clock[0] - begun)
        assert [len(piece.tokens) for piece in batch if piece.sequence == 0] == [1], "the answer goes on in each batch"
    assert max(lasted) < scheduling._STEP_SECONDS + 0.01
    assert max(lasted) > scheduling._STEP_SECONDS / 2, "they are no smaller than need be"
    assert not writing.ended


def test_chunks_are_large_while_nobody_writes() -> None:
    stage = Stage()
    stage.send(1000)
    assert [len(stage.step()[0].tokens) for _ in range(4)] == [BATCH, BATCH, BATCH, 1000 - 3 * BATCH]


def test_all_who_write_go_on_in_one_batch() -> None:
    stage = Stage()
    for _ in range(12):
        stage.send(10, 20)
    stage.step()
    for _ in range(10):
        assert len(stage.step()) == 12


def test_a_prompt_leaves_those_who_write_their_place_in_the_batch() -> None:
    stage = Stage()
    writing = stage.send(300, 50, priority=COMPLETE)
    stage.step(), stage.step()
    reading = stage.send(2000, priority=ASK)  # read so fast here that a chunk is as large as a batch
    while not reading.ended:
        batch = stage.step()
        assert [len(piece.tokens) for piece in batch if piece.sequence == 0] == [1]
        assert sum(len(piece.tokens) for piece in batch) <= BATCH
    assert not writing.ended


def test_adapter_sets_take_turns(clock: list[float]) -> None:
    stage = Stage()
    sets: list[AdapterSet] = [(), LORA, OTHER]
    for adapters in sets:
        for _ in range(2):
            stage.send(10, 30, adapters=adapters)
    seen = [stage.step()[0].adapters for _ in range(60)]
    for start in range(0, 60, 3):
        assert sorted(map(str, seen[start : start + 3])) == sorted(map(str, sets))


def test_completions_under_another_adapter_are_not_starved_by_asks(clock: list[float]) -> None:
    stage = Stage()
    stage.send(10, 2000)
    complete = stage.send(10, 5, priority=COMPLETE, adapters=LORA)
    begun = clock[0]
    while not complete.ended:
        clock[0] += 0.1  # a token's time
        stage.step()
    assert clock[0] - begun < 8


def test_short_texts_that_are_scored_fit_what_logits_there_may_be() -> None:
    stage = Stage()

    def score() -> Work[int]:
        sequence = stage.lanes.take()
        rows = yield Piece(sequence, 0, [1] * 15, (), 15)
        for row in rows:
            stage.llama.logits(row)
        return len(rows)

    sent = [stage.put(score(), EVAL) for _ in range(16)]
    while stage.scheduler.busy:
        assert sum(piece.logits for piece in stage.step()) <= MOST_LOGITS
    assert [one.results for one in sent] == [[15]] * 16


pieces = st.tuples(st.integers(1, 300), st.integers(0, 96), st.sampled_from([(), LORA]))


@given(st.lists(st.tuples(st.lists(pieces, min_size=1, max_size=4), st.sampled_from(Priority)), max_size=16))
@settings(max_examples=20, deadline=None)
def test_whatever_is_asked_for_is_decoded_once_with_its_own_logits(
    works: list[tuple[list[tuple[int, int, AdapterSet]], Priority]],
) -> None:
    stage = Stage(n_ctx=100_000)

    def work(asked: Sequence[tuple[int, int, AdapterSet]]) -> Generator[Piece | Wait, Rows, list[bytes]]:
        sequence, position, found = stage.lanes.take(), 0, list[bytes]()
        for n, logits, adapters in asked:
            logits = min(n, logits)
            rows = yield Piece(sequence, position, [position % 26] * n, adapters, logits)
            assert len(rows) == logits
            position += n
            found += [stage.llama.logits(row).tobytes() for row in rows]
            cells = stage.llama.held()[sequence]
            assert len(cells) == position, "no token is read twice, or left out"
            assert found[-logits:] == [logits_after(cell).tobytes() for cell in cells[-logits:]] if logits else True
        return found

    sent = [stage.put(work(asked), priority) for asked, priority in works]
    stage.run()
    assert [len(one.results) for one in sent] == [1] * len(works)
    decoded = sum(len(piece.tokens) for batch in stage.llama.batches for piece in batch)
    assert decoded == sum(n for asked, _ in works for n, _, _ in asked)


# -- room


def test_a_cancelled_task_frees_its_place_at_once() -> None:
    stage = Stage(n_ctx=400)
    first, second = stage.send(300, 50), stage.send(300)
    stage.step()
    assert {piece.sequence for piece in stage.step()} == {0}
    stage.scheduler.cancel(first.task)
    assert len(stage.step()) == 1
    stage.run()
    assert not first.ended
    assert second.results == [300]


def test_the_room_of_a_cancelled_task_goes_to_those_who_wait_for_it() -> None:
    stage = Stage(n_ctx=400)
    large, small, waiting = stage.send(250, 50), stage.send(10, 300, room=10), stage.send(200, room=10)
    while waiting.task.waits is None:
        stage.step()
    stage.scheduler.cancel(large.task)
    stage.step()
    assert waiting.results == [200]
    assert not small.ended


def test_a_batch_of_a_cancelled_task_is_given_up() -> None:
    stage = Stage()
    sent = stage.send(200)
    stage.step(lambda: stage.scheduler.urge(None, [sent.task]))
    assert not sent.ended
    stage.scheduler.cancel(sent.task)
    assert not stage.scheduler.busy
    assert stage.llama.held() == {}


def test_a_task_in_the_line_can_be_cancelled() -> None:
    stage = Stage(n_ctx=400)
    first, second = stage.send(300), stage.send(300)
    stage.step()
    stage.scheduler.cancel(second.task)
    stage.scheduler.cancel(second.task)
    stage.run()
    assert first.results == [300]
    assert not second.ended


def test_who_is_last_in_rank_gives_way_and_comes_back() -> None:
    stage = Stage(n_ctx=400)
    first, second, third = (stage.send(100, 100, room=100) for _ in range(3))
    while not first.ended:
        stage.step()
    assert not third.ended
    stage.run()
    assert [sent.results for sent in (first, second, third)] == [[200]] * 3


def test_what_is_least_urgent_gives_way_to_the_others() -> None:
    stage = Stage(n_ctx=400)
    last, first, second = (stage.send(100, 90, priority, room=100) for priority in (COMPLETE, ASK, ASK))
    while not (first.ended and second.ended):
        stage.step()
    assert not last.ended
    stage.run()
    assert last.results == [190]


def test_reading_ahead_gives_way_to_an_ask_for_good() -> None:
    stage = Stage(n_ctx=300)

    def warm() -> Work[str]:
        sequence = stage.lanes.take()
        try:
            yield Piece(sequence, 0, [1] * 290)
        except NoSlot:
            return "gave up"
        finally:
            stage.lanes.leave(sequence)
        return "read"

    alone = stage.put(warm(), WARM)
    stage.run()
    assert alone.results == ["read"]
    warmed = stage.put(warm(), WARM)
    stage.step()
    asking = stage.send(250)
    stage.step()
    assert warmed.results == ["gave up"]
    stage.run()
    assert asking.results == [250]


@pytest.mark.parametrize("others", [0, 1, 3])
def test_what_never_fits_is_told_so_and_the_others_go_on(others: int) -> None:
    stage = Stage(n_ctx=400)
    too_long = stage.send(300, 200, room=10)
    sent = [stage.send(100, 20, room=10) for _ in range(others)]
    stage.run()
    assert [type(error) for error in too_long.errors] == [TooLong]
    assert [one.results for one in sent] == [[120]] * others


def test_two_that_never_fit_are_both_told_so() -> None:
    stage = Stage(n_ctx=400)
    both = [stage.send(390, 200, room=10) for _ in range(2)]
    stage.run()
    assert [type(sent.errors[0]) for sent in both] == [TooLong] * 2


def test_who_finds_no_room_where_nobody_else_is_at_work_is_told_so() -> None:
    stage = Stage()

    def never() -> Work[None]:
        while True:
            yield Wait.room

    stuck = [stage.put(never()) for _ in range(3)]
    other = stage.send(20, 5)
    stage.run()
    assert [type(sent.errors[0]) for sent in stuck] == [TooLong] * 3
    assert other.results == [25]


def test_more_than_there_are_sequences_wait_and_none_is_lost() -> None:
    stage = Stage(n_ctx=10_000)
    sent = [stage.send(20, 5) for _ in range(40)]
    stage.run()
    assert [one.results for one in sent] == [[25]] * 40


# -- failures


def test_a_batch_that_fails_fails_its_own_tasks_alone() -> None:
    stage = Stage()
    base, adapted = stage.send(20, 10), stage.send(20, 10, adapters=LORA)
    stage.step(), stage.step()
    stage.llama.fails = True
    failed = stage.step()[0].adapters
    stage.run()
    of = {(): base, LORA: adapted}
    (error,) = of.pop(failed).errors
    assert isinstance(error, EngineFailed)
    (other,) = of.values()
    assert other.results == [30]


def test_who_fails_may_take_the_others_of_its_command_along() -> None:
    stage = Stage()
    sent: list[Sent] = []

    def fails() -> Work[None]:
        yield Piece(stage.lanes.take(), 0, [1] * 20)
        for one in sent:
            stage.scheduler.cancel(one.task)
        raise EngineFailed("it did not work.")

    failing = stage.put(fails())
    sent += [stage.send(20), stage.send(20, 10), stage.send(20, 5, EVAL)]
    stage.run()
    assert len(failing.errors) == 1
    assert not any(one.ended for one in sent)


def test_a_task_that_fails_before_it_begins_is_told_so() -> None:
    stage = Stage()

    def fails() -> Work[None]:
        raise TooLong("no.", "")
        yield

    failing, other = stage.put(fails()), stage.send(20)
    stage.run()
    assert len(failing.errors) == 1
    assert other.results == [20]
