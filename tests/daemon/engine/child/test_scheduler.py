"""Who is decoded when, by what a fake llama.cpp was asked to decode."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fake_llama import FakeLlama, logits_after
from fake_works import Stage
from lorebook_daemon.engine.child import scheduler as scheduling
from lorebook_daemon.engine.child.adapters import Adapter, AdapterSet
from lorebook_daemon.engine.child.llama import BATCH, MOST_LOGITS
from lorebook_daemon.engine.child.work import Piece, Rows, Wait, Work
from lorebook_daemon.engine.protocol import Priority

ASK, COMPLETE, EVAL, WARM = Priority
LORA: AdapterSet = (Adapter("a.gguf", "a", 1.0),)
OTHER: AdapterSet = (Adapter("b.gguf", "b", 1.0),)


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
