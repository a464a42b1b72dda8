"""Who gives way where the context has no room for all, and what becomes of those whose batch fails."""

from __future__ import annotations

import pytest

from fake_works import Sent, Stage
from lorebook_api.errors import EngineFailed, TooLong
from lorebook_daemon.engine.child.adapters import Adapter, AdapterSet
from lorebook_daemon.engine.child.work import NoSlot, Piece, Wait, Work
from lorebook_daemon.engine.protocol import Priority

ASK, COMPLETE, EVAL, WARM = Priority
LORA: AdapterSet = (Adapter("a.gguf", "a", 1.0),)


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
