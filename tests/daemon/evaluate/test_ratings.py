"""The arena: ratings out of votes, what a judge's order does, votes as pairs to learn from."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import FakeEngine
from lorebook_api.arena import Side, Winner
from lorebook_api.asking import AdapterUse
from lorebook_api.errors import Conflict, NotFound
from lorebook_daemon.engine.protocol import ASKING, Continued
from lorebook_daemon.evaluate.arenastore import ArenaStore, Fought, preferences
from lorebook_daemon.evaluate.ratings import START, K, elo, standings
from lorebook_daemon.evaluate.task import Subject
from lorebook_daemon.evaluate.voting import vote


def fought(sides: str, winner: Winner, answers: tuple[str, str] = ("x", "y")) -> Fought:
    return Fought("?", (sides[0], sides[1]), answers, winner)


def drawn(strength: dict[str, float], count: int) -> list[Fought]:
    """Return votes as sides of these strengths (in rating) would get them."""
    chance = random.Random(1)
    votes = []
    for _ in range(count):
        a, b = chance.sample(sorted(strength), 2)
        wins = chance.random() < 1 / (1 + 10 ** ((strength[b] - strength[a]) / 400))
        votes.append(fought(a + b, "a" if wins else "b"))
    return votes


def test_elo_moves_by_k_and_keeps_its_sum() -> None:
    assert elo([fought("mn", "a")]) == {"m": START + K / 2, "n": START - K / 2}
    assert elo([fought("mn", "tie")]) == elo([fought("mn", "both bad")]) == {"m": START, "n": START}


@given(st.lists(st.tuples(st.sampled_from(["mn", "no", "om"]), st.sampled_from(["a", "b", "tie"])), max_size=30))
def test_elo_is_conserved(votes: list[tuple[str, Winner]]) -> None:
    ratings = elo([fought(sides, winner) for sides, winner in votes])
    assert sum(ratings.values()) == pytest.approx(START * len(ratings))


def test_strengths_are_found_again_within_their_intervals() -> None:
    told = standings(drawn({"m": 1150.0, "n": 1000.0, "o": 850.0}, 900))
    assert [side.name for side in told.sides] == ["m", "n", "o"]
    assert told.enough and told.notices == ()
    for side, wanted in zip(told.sides, (1150, 1000, 850), strict=True):
        assert side.strength.low < wanted < side.strength.high
        assert side.strength.high - side.strength.low < 100


def test_too_few_votes_say_so() -> None:
    told = standings(drawn({"m": 1020.0, "n": 1000.0}, 12))
    assert not told.enough
    assert "12 votes do not tell" in told.notices[0]
    assert told.sides[0].styled is None
    assert not standings([fought("mn", "a")] * 3).enough, "three votes agree by chance"
    nothing = standings([])
    assert (nothing.votes, nothing.enough) == (0, False) and "no vote yet" in nothing.notices[0]


def test_a_side_that_always_won_has_a_rating_all_the_same() -> None:
    told = standings([fought("mn", "a")] * 20)
    assert told.sides[0].strength.value < 3000
    assert (told.sides[0].wins, told.sides[1].losses) == (20, 20)


@pytest.mark.parametrize("seed", [1, 2])
def test_who_wins_by_length_alone_is_not_stronger_without_style(seed: int) -> None:
    chance, votes = random.Random(seed), []
    for n in range(300):  # m writes long more often than n, and who writes long wins four times of five
        long_first = chance.random() < (0.8 if n % 2 else 0.2)
        wins = long_first == (chance.random() < 0.8)
        answers = ("word " * 90, "word " * 30) if long_first else ("word " * 30, "word " * 90)
        votes.append(fought("mn" if n % 2 else "nm", "a" if wins else "b", answers))
    found = standings(votes)
    told = {side.name: side for side in found.sides}
    assert told["m"].strength.value > told["n"].strength.value + 80
    styled = [told[name].styled for name in "mn"]
    assert styled[0] is not None and styled[1] is not None
    assert styled[0].low < styled[1].high and styled[1].low < styled[0].high
    assert found.style["length"] > 100


class Judge(FakeEngine):
    """A judge that prefers the answer `better`, or else what is shown first."""

    def __init__(self, better: str) -> None:
        super().__init__()
        self.better = better

    async def continuations(self, prompt, texts, adapters=(), turn=ASKING):
        text = prompt.messages[-1].content
        first = (
            text.index("Answer A") < text.find(self.better) < text.index("Answer B") if self.better in text else True
        )
        return [Continued(-1.0, 1, first), Continued(-2.0 if first else -0.5, 1, not first)]


def test_a_judge_votes_in_both_orders() -> None:
    def told(better: str, answers: tuple[str, str] = ("good", "bad")) -> tuple[str, bool, int]:
        given = asyncio.run(vote("Why?", answers, Subject(Judge(better))))
        return given.winner, given.consistent, given.first_shown

    assert told("good") == ("a", True, 1)
    assert told("bad") == ("b", True, 1)
    assert told("neither") == ("tie", False, 2), "it takes what is shown first"
    assert told("good", ("same", "same ")) == ("tie", True, 1)


def test_a_battle_has_one_vote(tmp_path: Path) -> None:
    store = ArenaStore(tmp_path)
    battle = store.add("Why?", (Side("m"), Side("n", adapters=(AdapterUse("x", 0.5),))), ("so", "thus"))
    assert store.fought() == ()
    assert store.vote(battle, "b").b == "n"
    with pytest.raises(Conflict, match="its vote already"):
        store.vote(battle, "a")
    with pytest.raises(NotFound):
        store.vote("none", "a")
    assert store.fought() == (Fought("Why?", ("m", "n"), ("so", "thus"), "b", adapters=((), ("x",))),)
    assert store.clear() == 1 and store.fought() == ()


def test_votes_of_people_are_pairs_to_learn_from() -> None:
    votes = [
        fought("mn", "b", ("so", "thus")),
        fought("mn", "tie", ("so", "thus")),
        fought("mn", "a", ("same", "same")),
        Fought("?", ("m", "n"), ("so", "thus"), "a", judge="a model"),
    ]
    (pair,) = preferences(votes)
    assert (pair.chosen, pair.rejected) == ("thus", "so")
