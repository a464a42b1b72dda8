"""Reranking: which passages are read, in what order they end, and what stays as it was."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fakes
from lorebook_api.errors import BadRequest, EngineDied, EngineFailed
from lorebook_daemon.answer.prompts import SYSTEM
from lorebook_daemon.answer.reranking import DEPTH, RERANKERS, Likelihood, Means, Reranking, is_sure, reranked
from lorebook_daemon.answer.retrieved import Retrieved, RootHit
from lorebook_daemon.index.passage import Passage

TEXTS = ("Nothing of the sort.", "The valve opens at 4 bar.", "The bakery opens at six.")


def hit(n: int, score: float, text: str = "") -> RootHit:
    return RootHit("/root", Passage(f"{n}.md", 1, 1, text or f"passage {n}", "doc"), score)


class Shelf:
    """Finds what it holds, and notes how much was wanted."""

    def __init__(self, *hits: RootHit) -> None:
        self.hits, self.wanted = hits, 0

    async def retrieve(self, query: str, k: int) -> Retrieved:
        self.wanted = k
        return Retrieved(self.hits[:k], "hybrid", ("fresh",))


class Scripted:
    """Scores by the passage's path, notes how many it was given at once, and never ends with the batch `stuck_at`."""

    def __init__(self, scores: dict[str, float], stuck_at: int = 99) -> None:
        self.by_path, self.stuck_at, self.batches = scores, stuck_at, []

    async def scores(self, query: str, hits: Any) -> list[float]:
        self.batches.append(len(hits))
        if len(self.batches) > self.stuck_at:
            await asyncio.sleep(60)
        return [self.by_path.get(one.passage.path, 0.0) for one in hits]


async def quiet(event: str, body: Any) -> None: ...


def found(shelf: Shelf, reranker: Any, k: int = 3, seconds: float = 5.0) -> Retrieved:
    return asyncio.run(Reranking(shelf, reranker, quiet, seconds).retrieve("when does the valve open?", k))


def paths(hits: Any) -> list[str]:
    return [one.passage.path for one in hits]


def test_a_passage_that_explains_the_question_comes_first() -> None:
    shelf = Shelf(*(hit(n, 1 - n / 10, text) for n, text in enumerate(TEXTS)))
    engine = fakes.FakeEngine()
    result = found(shelf, Likelihood(engine))
    assert paths(result.hits)[0] == "1.md"
    assert [one.score for one in result.hits] == [1.0, 0.9, 0.8]
    assert {call.what for call in engine.calls} == {"likelihood"}
    assert result.notices == ("fresh",)


def test_what_is_beyond_the_depth_is_not_read_and_stays_behind() -> None:
    shelf = Shelf(*(hit(n, 1 - n / 100) for n in range(DEPTH + 4)))
    reranker = Scripted({f"{n}.md": float(n) for n in range(DEPTH + 4)})
    result = found(shelf, reranker, DEPTH + 4)
    assert sum(reranker.batches) == DEPTH
    assert paths(result.hits)[DEPTH:] == [f"{n}.md" for n in range(DEPTH, DEPTH + 4)]


def test_more_is_looked_at_than_is_wanted() -> None:
    shelf = Shelf(*(hit(n, 1 - n / 100) for n in range(DEPTH)))
    result = found(shelf, Scripted({f"{DEPTH - 1}.md": 99.0}), 2)
    assert shelf.wanted == DEPTH
    assert len(result.hits) == 2
    assert paths(result.hits)[0] == f"{DEPTH - 1}.md"


def test_a_sure_list_is_not_read() -> None:
    reranker = Scripted({"1.md": 9.0})
    assert paths(found(Shelf(hit(0, 1.0), hit(1, 0.2)), reranker).hits) == ["0.md", "1.md"]
    assert paths(found(Shelf(hit(0, 1.0)), reranker).hits) == ["0.md"]
    assert found(Shelf(), reranker).hits == ()
    assert reranker.batches == []


def test_when_the_time_is_over_the_rest_keeps_its_order() -> None:
    shelf = Shelf(*(hit(n, 1 - n / 100) for n in range(DEPTH)))
    reranker = Scripted({"3.md": 9.0, "6.md": 99.0}, stuck_at=2)
    result = found(shelf, reranker, DEPTH, seconds=0.1)
    read = 6
    assert sum(reranker.batches[:2]) == read
    assert paths(result.hits)[read:] == [f"{n}.md" for n in range(read, DEPTH)]
    assert paths(result.hits)[0] == "3.md"


def test_where_the_time_is_too_short_for_any_passage_it_says_so() -> None:
    result = found(Shelf(hit(0, 1.0), hit(1, 0.9)), Scripted({"1.md": 9.0}, stuck_at=0), seconds=0.02)
    assert paths(result.hits) == ["0.md", "1.md"]
    assert "not reranked" in result.notices[-1]


def test_a_failure_of_the_engine_is_not_hidden() -> None:
    class Broken:
        async def scores(self, query: str, hits: Any) -> list[float]:
            raise EngineDied("gone", "again")

    with pytest.raises(EngineDied):
        found(Shelf(hit(0, 1.0), hit(1, 0.9)), Broken())


@pytest.mark.parametrize("name", [name for name, make in RERANKERS.items() if make and name != "cross-encoder"])
def test_the_model_reads_all_passages_of_a_batch_at_once_under_the_answers_own_head(name: str) -> None:
    engine = fakes.FakeEngine()
    reranker = RERANKERS[name](Means(engine))
    hits = [hit(n, 1.0, text) for n, text in enumerate(TEXTS)]
    scores = asyncio.run(reranker.scores("when does the valve open?", hits))
    assert max(range(3), key=scores.__getitem__) == 1
    (call,) = engine.calls
    assert len(call.prompts) == 3
    assert {prompt.messages[0].content for prompt in call.prompts} == {SYSTEM}


def test_without_a_model_or_a_cross_encoder_it_says_what_to_do() -> None:
    with pytest.raises(EngineFailed, match="rerank"):
        RERANKERS["model"](Means(None))
    with pytest.raises(BadRequest, match="cross-encoder") as failure:
        RERANKERS["cross-encoder"](Means(None))
    assert "LOREBOOK_CROSS_ENCODER" in failure.value.hint


scores = st.floats(-1e6, 1e6)


@given(st.lists(st.tuples(st.floats(0, 1), scores), max_size=12), st.integers(0, 4))
def test_every_hit_stays_and_scores_still_fall(pairs: list[tuple[float, float]], unread: int) -> None:
    firsts = sorted((first for first, _ in pairs), reverse=True)
    hits = [hit(n, score) for n, score in enumerate(firsts)]
    read = [score for _, score in pairs][: max(0, len(hits) - unread)]
    result = reranked(hits, read)
    assert sorted(paths(result)) == sorted(paths(hits))
    assert [one.score for one in result] == firsts
    assert paths(result)[len(read) :] == paths(hits)[len(read) :]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_equal_scores_change_nothing(firsts: list[float]) -> None:
    hits = [hit(n, score) for n, score in enumerate(sorted(firsts, reverse=True))]
    assert reranked(hits, [0.5] * len(hits)) == tuple(hits)


def test_a_lead_is_a_share_of_the_first_score() -> None:
    assert not is_sure([hit(0, 0.02), hit(1, 0.019)])
    assert is_sure([hit(0, 0.02), hit(1, 0.001)])
    assert not is_sure([hit(0, 0.0), hit(1, 0.0)])
