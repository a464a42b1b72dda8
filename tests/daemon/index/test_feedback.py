"""Feedback as it is kept: one thumb an answer, no lines of files, and nothing left once it is forgotten."""

import sqlite3

import pytest

from lorebook_api.asking import Citation
from lorebook_api.errors import NotFound, StorageFailed
from lorebook_api.feedback import Feedback
from lorebook_daemon.index.feedback import FeedbackStore

CITED = Citation(1, "a.py", 3, 4, "return 42 percent", "0" * 64, 0.9, root="/data")


@pytest.fixture
def store(tmp_path):
    return FeedbackStore(tmp_path)


def test_what_is_kept_comes_back_without_the_lines_of_the_files(store):
    given = Feedback("edited", "the rate?\ud800", "It was 4.", (CITED,), edited="It was 42.", other="It is 7.")
    kept = store.keep(given)
    (found,) = store.all()
    assert found == kept and kept.at.startswith("20")
    assert found.feedback.citations[0].path == "a.py" and found.feedback.citations[0].quote == ""
    assert (found.feedback.question, found.feedback.edited, found.feedback.other) == (
        "the rate?\ud800",
        "It was 42.",
        "It is 7.",
    )


def test_an_answer_has_one_thumb_and_any_number_of_other_things(store):
    for rating in ("up", "down"):
        store.keep(Feedback(rating, "q", "a", request_id="r1"))
        store.keep(Feedback(rating, "q", "a", request_id="r2"))
        store.keep(Feedback(rating, "q", "a"))
    store.keep(Feedback("edited", "q", "a", edited="b", request_id="r1"))
    store.keep(Feedback("up", "q", "a", request_id="r1"))
    kept = [(one.feedback.rating, one.feedback.request_id) for one in store.all()]
    assert kept == [("up", "r1"), ("edited", "r1"), ("down", ""), ("down", "r2"), ("up", "")]


def test_effects_are_summed_by_signal_and_go_with_what_they_came_from(store):
    first = store.keep(Feedback("opened", "q", citations=(CITED,)), {"meaning": 1.0, "spread": -0.5})
    store.keep(Feedback("opened", "q", citations=(CITED,)), {"meaning": -0.5})
    assert store.effects() == {"meaning": (0.5, 2), "spread": (-0.5, 1)}
    store.forget(first.id)
    assert store.effects() == {"meaning": (-0.5, 1)}
    store.keep(Feedback("up", "q", "a", request_id="r1"), {"meaning": 1.0})
    store.keep(Feedback("down", "q", "a", request_id="r1"))
    assert store.effects() == {"meaning": (-0.5, 1)}, "the thumb that was taken back says nothing any more"


def test_what_is_forgotten_is_not_left_on_the_disk(store, tmp_path):
    kept = store.keep(Feedback("up", "my very own question", "a"))
    store.keep(Feedback("up", "my very other question", "a"))
    store.forget(kept.id)
    with pytest.raises(NotFound):
        store.forget(kept.id)
    assert store.forget_all() == 1
    data = b"".join(file.read_bytes() for file in tmp_path.glob("feedback*"))
    assert data and b"my very own" not in data and b"my very other" not in data
    assert store.keep(Feedback("up", "q", "a")).id > kept.id, "an id is not given twice"


def test_where_nothing_was_kept_no_file_is_made(store, tmp_path):
    assert (store.all(), store.effects(), store.forget_all()) == ((), {}, 0)
    with pytest.raises(NotFound):
        store.forget(1)
    assert not list(tmp_path.glob("feedback*"))


def test_a_file_that_is_something_else_is_said(store, tmp_path):
    (tmp_path / "feedback.sqlite3").write_bytes(b"no database" * 500)
    for use in (store.all, store.effects, lambda: store.keep(Feedback("up", "q", "a"))):
        with pytest.raises(StorageFailed, match="feedback"):
            use()


def test_a_full_disk_is_said_and_leaves_what_was_there(store, monkeypatch):
    store.keep(Feedback("up", "q", "a"))

    def fail(*_):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr("lorebook_daemon.index.feedback.json.dumps", fail)
    with pytest.raises(StorageFailed, match="disk is full"):
        store.keep(Feedback("up", "q", "b"))
    assert len(store.all()) == 1
