"""The store of measurements: what is kept, what is gone on with, what two runs have apart."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorebook_api.errors import BadRequest, NotFound, StorageFailed
from lorebook_api.evaluation import EvalRun, Figure, Overlap, Skipped
from lorebook_daemon.evaluate.comparing import compare
from lorebook_daemon.evaluate.page import page
from lorebook_daemon.evaluate.store import Begun, Call, Outcome, RunStore
from lorebook_daemon.evaluate.task import mean_figure

BEGUN = Begun("mc", "quiz.csv", {"model": "tiny", "adapters": []}, {"lorebook": "1"})


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore(tmp_path)


def kept(store: RunStore, begun: Begun, values: list[float], metric: str = "acc") -> EvalRun:
    """Return a run that is finished."""
    run = store.begin(begun)
    for n, value in enumerate(values):
        store.keep(run, str(n), Outcome({metric: value}))
    store.finish(run, {metric: mean_figure(values)}, len(values), [], [])
    return store.get(run)


def test_what_was_measured_is_found_again(store: RunStore) -> None:
    run = store.begin(BEGUN)
    assert store.get(run).state == "unfinished"
    store.keep(run, "q1", Outcome({"acc": 1.0}, "yes", "a note"))
    overlaps = (Overlap("mill", 3, 20), Overlap("elsewhere", None, 20))
    store.finish(run, {"acc": Figure(1.0, 0.5, 1.0, 1)}, 1, [Skipped(2, "why")], ["hear"], overlaps)
    found = store.get(run[:4])
    assert found.overlaps == overlaps
    assert (found.state, found.n, found.figures["acc"].low) == ("done", 1, 0.5)
    assert (found.config, found.versions) == (BEGUN.config, BEGUN.versions)
    assert (found.skipped, found.notices) == ((Skipped(2, "why"),), ("hear",))
    assert store.outcomes(run) == {"q1": Outcome({"acc": 1.0}, "yes", "a note")}
    assert store.get("last") == found == store.all()[0]
    store.delete(run)
    assert store.all() == () and store.outcomes(run) == {}


def test_what_asked_for_a_run_is_kept_with_it_in_an_older_file_too(store: RunStore, tmp_path: Path) -> None:
    old = store.begin(BEGUN)
    with contextlib.closing(sqlite3.connect(tmp_path / "evaluations.sqlite3")) as db:
        for column in ("route", "body"):
            db.execute(f"ALTER TABLE runs DROP COLUMN {column}")
    assert store.call(old) is None and store.unfinished(BEGUN) == old
    call = Call("mc", {"path": "/quiz.csv", "limit": 3})
    assert store.begin(BEGUN, call) == old and store.call(old) == call
    store.finish(old, {}, 0, [], [])
    assert store.unfinished(BEGUN) == ""


def test_an_unfinished_run_is_gone_on_with_and_a_finished_one_is_not(store: RunStore) -> None:
    first = store.begin(BEGUN)
    assert store.begin(BEGUN) == first
    assert store.begin(Begun("mc", "quiz.csv", {"model": "other"}, {})) != first
    store.finish(first, {}, 0, [], [])
    assert store.begin(BEGUN) != first


def test_names_that_mean_no_run_or_several(store: RunStore) -> None:
    for name in ("last", "abcd", "", "ab"):
        with pytest.raises(NotFound, match="no run"):
            store.get(name)
    runs = [kept(store, Begun("mc", f"{n}.csv", {}, {}), [1.0]).id for n in range(3)]
    assert {run.id for run in store.all()} == set(runs)


def test_a_file_of_a_version_that_kept_no_overlaps_is_read(tmp_path: Path) -> None:
    run = kept(RunStore(tmp_path), BEGUN, [1.0])
    with contextlib.closing(sqlite3.connect(tmp_path / "evaluations.sqlite3")) as db, db:
        db.execute("ALTER TABLE runs DROP COLUMN overlaps")
    assert RunStore(tmp_path).all() == (run,)


def test_a_finished_run_is_found_by_what_it_measured(store: RunStore) -> None:
    run = store.begin(BEGUN)
    assert store.finished(BEGUN) is None
    store.finish(run, {}, 0, [], [])
    assert store.finished(BEGUN) == store.get(run)
    assert store.finished(Begun("mc", "quiz.csv", {"model": "other"}, {})) is None


def test_a_file_that_is_no_database_says_so(tmp_path: Path) -> None:
    (tmp_path / "evaluations.sqlite3").write_bytes(b"nothing of the kind" * 100)
    with pytest.raises(StorageFailed, match="cannot be read"):
        RunStore(tmp_path).all()


def test_runs_are_compared_item_by_item(store: RunStore) -> None:
    before = kept(store, BEGUN, [0.0] * 20 + [1.0] * 20)
    better = kept(store, Begun("mc", "quiz.csv", {"model": "tiny", "adapters": ["x"]}, {"lorebook": "1"}), [1.0] * 40)
    told = compare(before, better, store.outcomes(before.id), store.outcomes(better.id))
    (acc,) = told.figures
    assert (acc.first, acc.second, acc.difference.value, acc.verdict) == (0.5, 1.0, 0.5, "better")
    assert told.changed == ("adapters: [] → ['x']",)
    assert told.worse == ()
    back = compare(better, before, store.outcomes(better.id), store.outcomes(before.id))
    assert back.worse == ("acc",)


RUN = EvalRun("a", "mc", "x", "done", "", "", {"data": "1"}, {}, {}, 30)
ONES = {str(n): Outcome({"acc": 1.0}) for n in range(30)}


def test_what_the_second_run_lacks_fails_a_gate_as_what_dropped_does() -> None:
    other = replace(RUN, id="b")
    assert compare(RUN, other, ONES, ONES).failures == ()
    fewer = compare(RUN, other, ONES, dict(list(ONES.items())[:28]))
    assert (fewer.lost, fewer.failures) == (2, ("b did not measure 2 items that a did.",))
    more = {name: Outcome({"acc": 1.0, "right": 1.0, "latency_ms": 5.0}) for name in ONES}
    gone = compare(RUN, other, more, ONES)
    assert (gone.gone, gone.failures) == (("right",), ("b has no right, which a has.",)), "a cost may go"
    of_the_whole = replace(RUN, figures={"abstention_f1": Figure(1, 1, 1, 30)})
    assert compare(of_the_whole, other, ONES, ONES).gone == ("abstention_f1",)
    assert compare(other, of_the_whole, ONES, more).failures == (), "what is new is no loss"


def test_runs_that_are_no_fair_pair_say_so() -> None:
    assert compare(RUN, RUN, ONES, ONES).notices == ()
    half = replace(RUN, id="b", state="unfinished", config={"data": "2"})
    assert compare(RUN, half, ONES, ONES).notices == ("b is unfinished.", "The two runs were made over different data.")


def test_what_an_adapter_was_taught_is_said_where_runs_are_compared() -> None:
    after = replace(RUN, id="b", overlaps=(Overlap("mill", 7, 30),))
    (told,) = compare(RUN, after, ONES, ONES).notices
    assert told == "b: 7 of 30 items share 8 words in a row with what mill was taught."


@given(st.lists(st.sampled_from([0.0, 1.0]), min_size=2, max_size=30))
def test_the_same_again_is_never_worse(values: list[float]) -> None:
    run = EvalRun("a", "mc", "x", "done", "", "", {}, {}, {}, len(values))
    outcomes = {str(n): Outcome({"acc": value}) for n, value in enumerate(values)}
    told = compare(run, run, outcomes, outcomes)
    assert told.worse == () and told.figures[0].verdict == "no difference shown"


def test_less_is_better_of_toxicity_and_costs_fail_no_gate(store: RunStore) -> None:
    def verdict(metric: str) -> str:
        low = kept(store, Begun("x", metric, {"n": 1}), [1.0] * 30, metric)
        high = kept(store, Begun("x", metric, {"n": 2}), [2.0] * 30, metric)
        return compare(low, high, store.outcomes(low.id), store.outcomes(high.id)).figures[0].verdict

    assert (verdict("toxicity"), verdict("latency_ms"), verdict("acc")) == ("worse", "cost", "better")


def test_what_cannot_be_compared(store: RunStore) -> None:
    choices, judged = kept(store, BEGUN, [1.0]), kept(store, Begun("judge", "a.json", {}), [1.0], "score")
    with pytest.raises(BadRequest, match="measures mc and"):
        compare(choices, judged, {}, {})
    with pytest.raises(BadRequest, match="share no item"):
        compare(choices, choices, {"a": Outcome({})}, {"b": Outcome({})})
    few = compare(choices, choices, {"a": Outcome({"acc": 1}), "c": Outcome({})}, {"a": Outcome({"acc": 0})})
    assert len(few.notices) == 2, "items that stand in one run only, and few items"


def test_the_page_is_whole_in_itself_and_nothing_of_the_data_acts_in_it(store: RunStore) -> None:
    evil = "<script>alert(1)</script>"
    before = kept(store, Begun("mc", evil, {"model": evil, "adapters": []}), [0.0, 1.0] * 10)
    after = kept(store, Begun("mc", evil, {"model": "b", "adapters": []}), [1.0] * 20)
    told = compare(before, after, store.outcomes(before.id), store.outcomes(after.id))
    html = page([before, after], [told])
    assert "<script" not in html and "&lt;script&gt;" in html
    assert not re.search(r"(src|href)=|url\(|https?://", html)
    assert html.count("<svg") == 3 and "+0.500" in html
    numbers = [float(number) for number in re.findall(r'(?:cx|x1|x2)="([^"]*)"', html)]
    assert all(0 <= number <= 240 for number in numbers)
