"""What the context's sequences hold, and who works in them."""

from __future__ import annotations

import random
from array import array
from collections.abc import Sequence

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from fake_llama import FakeLlama, FakeRecurrent, Seen, read_on
from lorebook_daemon.engine.child import lanes as module
from lorebook_daemon.engine.child.lanes import Lane, Lanes
from lorebook_daemon.engine.child.work import NoSlot, Piece


def feed(llama: FakeLlama, lane: Lane, entries: Sequence[int], noted: int | None = None) -> None:
    """Read entries into a lane, and note the first `noted` of them, all by default."""
    llama.decode([Piece(lane.sequence, lane.end, entries)])
    lane.entries.extend(entries[:noted])


def cells(entries: Sequence[int]) -> list[bytes]:
    seen: Seen = []
    read_on(seen, entries, [()] * len(entries))
    return [what for _, what in seen]


def filled(llama: FakeLlama, lanes: Lanes, entries: Sequence[int]) -> Lane:
    """Return a lane with entries, given back."""
    lane = lanes.take()
    feed(llama, lane, entries)
    lanes.leave(lane)
    return lane


# -- one thing after another


def test_who_goes_on_where_another_ended_gets_its_lane() -> None:
    llama = FakeLlama()
    lanes = Lanes(llama)  # type: ignore[arg-type]
    before = filled(llama, lanes, [1, 2, 3])
    lane = lanes.begin([1, 2, 3, 4, 5], 4)
    assert (lane, lane.end, lane.busy) == (before, 3, True)


def test_who_asks_the_same_again_reads_the_last_token_alone() -> None:
    llama = FakeLlama()
    lanes = Lanes(llama)  # type: ignore[arg-type]
    filled(llama, lanes, [1, 2, 3])
    lane = lanes.begin([1, 2, 3], 2)
    assert list(lane.entries) == [1, 2]
    assert llama.held() == {lane.sequence: cells([1, 2])}


def test_a_beginning_is_shared_and_the_lane_stays_for_who_comes_back() -> None:
    llama = FakeLlama()
    lanes = Lanes(llama)  # type: ignore[arg-type]
    first = filled(llama, lanes, [1, 2, 3, 4, 5])
    lane = lanes.begin([1, 2, 9, 9], 3)
    assert list(lane.entries) == [1, 2]
    assert llama.held() == {first.sequence: cells([1, 2, 3, 4, 5]), lane.sequence: cells([1, 2])}
    assert lanes.begin([1, 2, 3, 4, 5, 6], 5) is first


def test_a_lane_at_work_is_shared_as_far_as_is_noted() -> None:
    llama = FakeLlama()
    lanes = Lanes(llama)  # type: ignore[arg-type]
    busy = lanes.take()
    feed(llama, busy, [1, 2, 3, 4], noted=2)
    lane = lanes.begin([1, 2, 3, 4, 5], 4)
    assert lane is not busy
    assert list(lane.entries) == [1, 2]
    assert llama.held()[lane.sequence] == cells([1, 2])


def test_what_was_not_noted_is_dropped_when_a_lane_is_given_back() -> None:
    llama = FakeLlama()
    lanes = Lanes(llama)  # type: ignore[arg-type]
    lane = lanes.take()
    feed(llama, lane, [1, 2, 3], noted=2)
    lanes.leave(lane)
    assert llama.held() == {lane.sequence: cells([1, 2])}


def test_an_empty_lane_is_not_kept() -> None:
    llama = FakeLlama(sequences=1)
    lanes = Lanes(llama)  # type: ignore[arg-type]
    lane = lanes.take()
    feed(llama, lane, [1, 2], noted=0)
    lanes.leave(lane)
    assert not lanes.evict()
    assert llama.held() == {}


def test_the_longest_beginning_is_found() -> None:
    llama = FakeLlama()
    lanes = Lanes(llama)  # type: ignore[arg-type]
    for entries in ([1, 2], [1, 2, 3, 4], [1, 2, 3], [7]):
        filled(llama, lanes, entries)
    assert list(lanes.begin([1, 2, 3, 4, 9], 4).entries) == [1, 2, 3, 4]


def test_the_lane_that_was_used_longest_ago_goes_first() -> None:
    llama = FakeLlama(sequences=3)
    lanes = Lanes(llama)  # type: ignore[arg-type]
    for entries in ([1, 1], [2, 2], [3, 3]):
        filled(llama, lanes, entries)
    lanes.leave(lanes.begin([1, 1, 1], 2))
    assert lanes.evict()
    assert sorted(map(len, llama.held().values())) == [2, 2]
    assert cells([2, 2]) not in llama.held().values()
    assert lanes.evict()
    assert list(llama.held().values()) == [cells([1, 1])]


def test_no_lane_at_work_gives_way() -> None:
    llama = FakeLlama(sequences=2)
    lanes = Lanes(llama)  # type: ignore[arg-type]
    busy = [lanes.take(), lanes.take()]
    for lane, entries in zip(busy, ([1, 2], [3, 4]), strict=True):
        feed(llama, lane, entries)
    assert not lanes.evict()
    for wanted in ([9, 9], [1, 2, 3]):
        with pytest.raises(NoSlot):
            lanes.begin(wanted, len(wanted) - 1)
    assert [lane.busy for lane in busy] == [True, True]
    assert len(llama.held()) == 2


def test_who_shares_takes_the_lane_itself_where_there_is_no_other() -> None:
    llama = FakeLlama(sequences=2)
    lanes = Lanes(llama)  # type: ignore[arg-type]
    lanes.take()
    idle = filled(llama, lanes, [1, 2, 3, 4, 5])
    lane = lanes.begin([1, 2, 9], 2)
    assert lane is idle
    assert list(lane.entries) == [1, 2]
    assert llama.held()[lane.sequence] == cells([1, 2])


def test_idle_lanes_are_bounded_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_IDLE_MOST", 10)
    llama = FakeLlama()
    lanes = Lanes(llama)  # type: ignore[arg-type]
    for first in range(5):
        filled(llama, lanes, [first, 1, 2, 3])
        assert cells([first, 1, 2, 3]) in llama.held().values(), "the last one stays"
    assert len(llama.held()) == 3
    filled(llama, lanes, range(20))
    assert cells(range(20)) in llama.held().values()


def test_a_state_is_gone_on_with_or_left_alone() -> None:
    llama = FakeRecurrent()
    lanes = Lanes(llama)  # type: ignore[arg-type]
    first = filled(llama, lanes, [1, 2, 3])
    assert lanes.begin([1, 2, 9], 2).end == 0
    assert lanes.begin([1, 2, 3], 2).end == 0, "it cannot be cut by a token"
    lane = lanes.begin([1, 2, 3, 4], 3)
    assert (lane, lane.end) == (first, 3)
    assert lanes.begin([1, 2, 3, 4], 3).end == 0, "one at work may be further than noted"


def test_a_state_that_cannot_be_cut_is_dropped() -> None:
    llama = FakeRecurrent()
    lanes = Lanes(llama)  # type: ignore[arg-type]
    lane = lanes.take()
    feed(llama, lane, [1, 2, 3], noted=2)
    lanes.leave(lane)
    assert llama.held() == {}
    assert not lanes.evict()


# -- anything in any order


def play(llama: FakeLlama, lanes: Lanes, chance: random.Random) -> None:
    """Begin, read, cut, leave, evict; after each, every lane holds what its entries say, and nobody else's."""
    busy: list[Lane] = []
    texts = [[chance.randint(1, 3) for _ in range(12)] for _ in range(3)]
    for _ in range(120):
        mine = chance.choice(busy) if busy else None
        match chance.choice(
            ["begin", "begin", "feed", "feed", "feed unnoted", "cut", "leave", "leave", "take", "evict"]
        ):
            case "begin":
                wanted = chance.choice(texts)[: chance.randint(1, 12)]
                busy += begun(lanes, wanted, chance.randint(0, len(wanted) - 1))
            case "take":
                busy += begun(lanes, [], 0)
            case "feed" if mine and mine.end < 12:
                feed(llama, mine, chance.choice(texts)[mine.end : mine.end + chance.randint(1, 5)])
            case "feed unnoted" if mine and mine.end < 10:
                feed(llama, mine, chance.choice(texts)[mine.end : mine.end + 2], noted=1)
                lanes.cut(mine, mine.end)
            case "cut" if mine and mine.end:
                lanes.cut(mine, chance.randint(0, mine.end))
            case "leave" if mine:
                busy.remove(mine)
                lanes.leave(mine)
            case "evict":
                lanes.evict()
        assert len({lane.sequence for lane in busy}) == len(busy), "two in one lane"
        assert all(lane.busy for lane in busy)
        held = llama.held()
        known = {n: cells(lane.entries) for n, lane in lanes._lanes.items() if lane.entries}
        assert held == known
        assert sum(lane.busy for lane in lanes._lanes.values()) == len(busy)


def begun(lanes: Lanes, wanted: list[int], keep: int) -> list[Lane]:
    """Return the lane for what is wanted, which holds its beginning; none where there is no room."""
    try:
        lane = lanes.begin(wanted, keep) if wanted else lanes.take()
    except NoSlot:
        assert all(lane.busy for lane in lanes._lanes.values())
        return []
    assert lane.end <= keep
    assert lane.entries == array("q", wanted[: lane.end])
    return [lane]


@pytest.mark.parametrize("kind", [FakeLlama, FakeRecurrent])
@given(seed=st.integers(0, 2**32), sequences=st.integers(1, 6))
@settings(max_examples=40, deadline=None, phases=(Phase.explicit, Phase.generate))
def test_a_lane_holds_what_its_entries_say(kind: type[FakeLlama], seed: int, sequences: int) -> None:
    llama = kind(2000, sequences)
    play(llama, Lanes(llama), random.Random(seed))  # type: ignore[arg-type]


@given(st.lists(st.integers(0, 2)), st.lists(st.integers(0, 2)))
def test_equal_beginnings(left: list[int], right: list[int]) -> None:
    n = module._equal(array("q", left), array("q", right))
    assert left[:n] == right[:n]
    assert n == min(len(left), len(right)) or left[n] != right[n]


def test_there_is_room_for_what_fits_beside_all_that_was_read() -> None:
    llama = FakeLlama(10)
    lanes = Lanes(llama)  # type: ignore[arg-type]
    assert lanes.has_room(10) and not lanes.has_room(11)
    filled(llama, lanes, [1, 2, 3])
    assert lanes.has_room(7) and not lanes.has_room(8)
