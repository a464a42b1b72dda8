"""Questions written ahead: what is taken of the model's text, what is kept, and how it moves passages."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fakes
from lorebook_api.errors import StorageFailed
from lorebook_daemon.answer.doc2query import POOL, Foreseen, Questions, drop_questions, raised, write_questions
from lorebook_daemon.answer.prompts import passage_text
from lorebook_daemon.answer.retrieved import Retrieved, RootHit
from lorebook_daemon.engine.protocol import WARMING
from lorebook_daemon.index.passage import Passage

TEXTS = ("df = df.dropna()", "plt.plot(x)", "The valve opens at 4 bar.")


def hit(n: int, score: float) -> RootHit:
    return RootHit("/root", Passage(f"{n}.md", 1, 1, TEXTS[n % 3], "doc"), score)


@pytest.fixture
def questions(tmp_path: Path) -> Questions:
    (tmp_path / "kept").mkdir()
    return Questions(tmp_path / "kept", fakes.HashEmbedder())


def test_only_whole_questions_are_taken_each_once() -> None:
    engine = fakes.FakeEngine(answer="Which rows go?\nWhich rows go?\nWhat is dropped?\nAnd wh")
    written = asyncio.run(write_questions("<source a>\nx\n</source>\n", engine))
    assert written == ("Which rows go?", "What is dropped?")
    (call,) = engine.calls
    assert call.turn == WARMING and call.sampling.grammar
    assert call.prompts[0].passages == ("<source a>\nx\n</source>\n",)


def test_what_was_written_is_near_to_what_is_asked(questions: Questions) -> None:
    questions.put(TEXTS[0], ("Which rows with empty values go away?", "What is cleaned?"))
    questions.put(TEXTS[1], ("How is the curve drawn?",))
    nearest = questions.nearness("which rows with empty values go", TEXTS)
    assert nearest[0] > nearest[1]
    assert nearest[0] > 0.8
    assert nearest[2] is None


def test_a_passage_is_written_for_once_and_another_embedder_starts_anew(questions: Questions, tmp_path: Path) -> None:
    assert questions.missing(TEXTS) == list(TEXTS)
    questions.put(TEXTS[0], ("Why?",))
    questions.put(TEXTS[1], ())  # the model had none
    assert questions.missing(TEXTS) == [TEXTS[2]]
    questions.put(TEXTS[0], ("How?",))
    assert questions.nearness("How?", [TEXTS[0]])[0] == pytest.approx(1.0, abs=0.01)
    other = fakes.HashEmbedder(32)
    other.identity = "other"
    assert Questions(tmp_path / "kept", other).missing(TEXTS) == list(TEXTS)
    assert Questions(tmp_path / "kept", other).nearness("Why?", TEXTS) == [None] * 3


def test_nothing_of_a_passage_that_went_stays_on_the_disk(questions: Questions, tmp_path: Path) -> None:
    secret = "Where does Zaphod keep his keys?"
    questions.put(TEXTS[0], (secret,))
    questions.put(TEXTS[1], ("Why?",))
    drop_questions(tmp_path / "kept", [TEXTS[0], "never seen"])
    assert questions.missing(TEXTS) == [TEXTS[0], TEXTS[2]]
    assert not any(b"Zaphod" in file.read_bytes() for file in (tmp_path / "kept").iterdir())
    drop_questions(tmp_path / "kept", None)
    assert questions.missing(TEXTS) == list(TEXTS)
    drop_questions(tmp_path, None)
    assert not (tmp_path / "questions.sqlite3").exists()


def test_a_damaged_file_is_made_anew(questions: Questions, tmp_path: Path) -> None:
    questions.put(TEXTS[0], ("Why?",))
    (tmp_path / "kept" / "questions.sqlite3").write_bytes(b"no database at all" * 100)
    assert questions.nearness("Why?", TEXTS) == [None] * 3
    questions.put(TEXTS[0], ("Why?",))
    assert questions.nearness("Why?", [TEXTS[0], TEXTS[0]]) == pytest.approx([1.0, 1.0], abs=0.01)


def test_a_place_where_nothing_can_be_kept_is_told(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed):
        Questions(tmp_path / "missing", fakes.HashEmbedder()).put(TEXTS[0], ("Why?",))


def always(questions: Questions | None) -> Callable[[], Awaitable[Questions | None]]:
    async def known() -> Questions | None:
        return questions

    return known


class Shelf:
    def __init__(self) -> None:
        self.wanted = 0

    async def retrieve(self, query: str, k: int) -> Retrieved:
        self.wanted = k
        return Retrieved(tuple(hit(n, 1 - n / 10) for n in range(3))[:k], "hybrid", ("fresh",))


def test_a_passage_whose_question_is_asked_rises(questions: Questions) -> None:
    shelf = Shelf()
    found = asyncio.run(Foreseen(shelf, always(questions)).retrieve("at how many bar", 2))
    assert [one.passage.path for one in found.hits] == ["0.md", "1.md"]
    for n in range(3):
        questions.put(passage_text(hit(n, 0.0)), (("What is dropped?", "What is drawn?", "At how many bar")[n],))
    found = asyncio.run(Foreseen(shelf, always(questions)).retrieve("at how many bar", 2))
    assert found.hits[0].passage.path == "2.md" and found.hits[0].score == 1.0
    assert (len(found.hits), shelf.wanted, found.notices) == (2, POOL, ("fresh",))


def test_without_an_embedder_the_search_is_as_it_was() -> None:
    shelf = Shelf()
    found = asyncio.run(Foreseen(shelf, always(None)).retrieve("at how many bar", 2))
    assert ([one.passage.path for one in found.hits], shelf.wanted) == (["0.md", "1.md"], 2)


@given(st.lists(st.tuples(st.floats(0, 1), st.none() | st.floats(-1, 1)), max_size=10))
def test_no_hit_is_lost_and_scores_fall(pairs: list[tuple[float, float | None]]) -> None:
    firsts = sorted((first for first, _ in pairs), reverse=True)
    hits = [hit(n, score) for n, score in enumerate(firsts)]
    result = raised(hits, [near for _, near in pairs])
    assert sorted(one.passage.path for one in result) == sorted(one.passage.path for one in hits)
    assert [one.score for one in result] == firsts
