"""What is learnt from feedback: slowly, within bounds, only from what stood above, and only what moved it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import HashEmbedder
from lorebook_daemon.index.learning import EVEN, PRIOR, REACH, judged, weighted, weights
from lorebook_daemon.index.lexical import Lexical
from lorebook_daemon.index.passage import Passage
from lorebook_daemon.index.search import Searcher
from lorebook_daemon.index.trace import MEANING, WORDS, Trace
from lorebook_daemon.index.vectors import Vectors


def traced(words=(), meaning=(), **signals):
    """Return a trace of candidates 0, 1, 2 …: their worth by words and by meaning, and signals as (before, after)."""
    trace = Trace()
    trace.note(WORDS, range(len(words)), words)
    trace.note(MEANING, range(len(meaning)), meaning)
    for name, (before, after) in signals.items():
        trace.note(name, range(len(before)), np.array(after), np.array(before))
    return trace


def test_what_stood_first_says_nothing():
    trace = traced((1.0, 0.5), (1.0, 0.5), path_words=((1.0, 0.5), (2.0, 0.5)))
    assert judged([0, 1], {0}, trace) == {}
    assert judged([0, 1], {0, 1}, trace) == {}, "nothing that was not liked stood above"
    assert judged([0, 1], set(), trace) == {}
    assert judged([], {7}, trace) == {}


def test_a_signal_is_praised_for_what_it_did_for_the_one_that_was_liked():
    helped, hindered, silent = ((0.5, 0.4), (0.5, 0.8)), ((0.5, 0.4), (1.0, 0.4)), ((0.5, 0.4), (0.5, 0.4))
    trace = traced((1.0, 0.5), (0.2, 1.0), helped=helped, hindered=hindered, silent=silent)
    assert judged([0, 1], {1}, trace) == {MEANING: 1.0, "helped": 1.0, "hindered": -1.0}


def test_what_was_liked_is_held_against_each_that_stood_above():
    trace = traced((1.0, 0.9, 0.8), (), one=((0.9, 0.9, 0.9), (0.9, 0.1, 0.5)))
    assert judged([0, 1, 2], {2}, trace) == {"one": 0.0}
    assert judged([1, 0, 2], {2, 0}, trace) == {"one": 1.0}


def test_what_a_signal_did_for_a_third_says_nothing_of_the_two():
    lifted = ((0.9, 0.5, 0.4), (1.8, 0.5, 0.4))
    scaled = ((0.9, 0.5, 0.4), (0.6, 0.5 / 1.5, 0.4 / 1.5))
    trace = traced((1.0, 0.9, 0.8), (), lifted=lifted, scaled=scaled)
    assert judged([0, 1, 2], {0, 2}, trace) == {}, "the third was liked as well"
    assert judged([0, 1, 2], {2}, trace) == {"lifted": -0.5}


def test_without_meaning_there_is_no_verdict_on_it():
    assert MEANING not in judged([0, 1], {1}, traced((1.0, 0.5), ()))


@given(st.dictionaries(st.text(), st.integers(0, 10**6).flatmap(lambda n: st.tuples(st.floats(-n, n), st.just(n)))))
def test_no_weight_ever_moves_by_more_than_its_reach(sums):
    assert all(1 - REACH <= weight <= 1 + REACH for weight in weights(sums).values())


def test_a_few_verdicts_move_little_and_many_more():
    moved = [weights({"spread": (float(n), n)})["spread"] - 1 for n in (1, PRIOR, 100 * PRIOR)]
    assert moved[0] < 0.03 and moved[1] == REACH / 2 and REACH - moved[2] < 0.01
    assert weights({"spread": (0.0, 50)}) == {"spread": 1.0}, "as many for it as against it"


@given(
    st.lists(st.tuples(st.floats(0, 5), st.floats(0, 5)), min_size=1, max_size=8),
    st.floats(1 - REACH, 1 + REACH),
)
def test_weighted_scores_stay_on_the_side_to_which_the_signal_moved_them(pairs, weight):
    before, after = np.array([pair[0] for pair in pairs]), np.array([pair[1] for pair in pairs])
    moved = weighted(before, after, weight)
    assert (moved >= 0).all()
    assert ((moved - before) * (after - before) >= -1e-9).all()
    assert weighted(before, after, 1.0) is after


QUESTION = "which vessel carried freight abroad last winter, by weight"
MANY = 400
NOTES = [
    *(Passage(f"note{n}.md", 1, 1, f"parcel {n}, {n * 7} grams", "doc") for n in range(20)),
    Passage("weight.md", 1, 1, "which vessel carried what freight abroad, by weight, last winter", "doc"),
    Passage("ship.md", 1, 1, "A steamer took the tonnage overseas in January.", "doc"),
]


class Seer(HashEmbedder):
    """Knows that the question means the ship."""

    def embed(self, texts):
        return super().embed([NOTES[-1].text if text == QUESTION else text for text in texts])


def searcher():
    """Words want the note on weight, meaning wants the ship."""
    rows, embedder = list(enumerate(NOTES)), Seer()
    vectors = Vectors.empty(embedder.dimensions)
    vectors.add([key for key, _ in rows], embedder.embed([passage.text for passage in NOTES]))
    table = dict(rows)
    return Searcher(Lexical.build(rows), vectors, embedder, lambda ids: {key: table[key] for key in ids})


def first(learnt):
    trace = Trace()
    hits = searcher().search(QUESTION, 10, weights=learnt, trace=trace)
    return hits, trace


def test_feedback_changes_the_order_where_it_says_so_again_and_again():
    hits, trace = first(EVEN)
    assert [hit.passage.path for hit in hits[:2]] == ["weight.md", "ship.md"]
    said = judged([hit.id for hit in hits], {hits[1].id}, trace)
    assert said == {MEANING: 1.0}
    once = weights({MEANING: (1.0, 1)})
    assert [hit.passage.path for hit in first(once)[0][:2]] == ["weight.md", "ship.md"], "once is not enough"
    learnt = weights({MEANING: (1.0 * MANY, MANY)})
    assert [hit.passage.path for hit in first(learnt)[0][:2]] == ["ship.md", "weight.md"]


def test_feedback_that_agrees_with_the_order_leaves_every_score_as_it_was():
    hits, trace = first(EVEN)
    said = judged([hit.id for hit in hits], {hits[0].id}, trace)
    learnt = weights({name: (effect * MANY, MANY) for name, effect in said.items()})
    assert learnt == {}
    assert [(hit.id, hit.score) for hit in first(learnt)[0]] == [(hit.id, hit.score) for hit in hits]


@pytest.mark.parametrize("weight", [0.5, 1.5])
def test_at_its_bounds_a_weight_still_finds_the_same_passages(weight):
    everything = {hit.id for hit in searcher().search(QUESTION, 100)}
    assert {hit.id for hit in searcher().search(QUESTION, 100, weights={MEANING: weight})} == everything
