"""Terms of many passages at once: the same counts as one passage at a time."""

import pickle

from hypothesis import given, settings
from hypothesis import strategies as st

from lorebook_daemon.index.bags import KINDS, MOST, Bags, term_hash
from lorebook_daemon.index.passage import Passage
from lorebook_daemon.index.tokens import passage_terms

texts = st.lists(
    st.sampled_from(["alpha", "HTTPServer_v2", "load_rows", "1.5", "naïve", "日本語", "_", "+", "x", "\ud800"])
).map(" ".join)
passages = st.builds(
    Passage,
    path=st.sampled_from(["a.py", "src/load_data/rows.py", "ü/1.2.md"]),
    start_line=st.just(1),
    end_line=st.just(1),
    text=texts,
    kind=st.sampled_from(KINDS),
    context=st.lists(texts, max_size=2).map(tuple),
    defines=st.lists(st.sampled_from(["alpha", "Loader.rows", "std::sort", ""]), max_size=3).map(tuple),
)


def counted(bags):
    """Return the bags as dictionaries from a term's hash to how often it stands there."""
    counts = bags.counts
    return [
        dict(zip(bags.hashes[counts.indices[first:stop]].tolist(), counts.data[first:stop].tolist(), strict=True))
        for first, stop in zip(counts.indptr[:-1], counts.indptr[1:], strict=True)
    ]


def one_by_one(given_passages):
    return [{term_hash(term): times for term, times in passage_terms(each).items()} for each in given_passages]


@given(st.lists(passages, max_size=8))
@settings(max_examples=80)
def test_the_counts_are_those_of_each_passage_alone(given_passages):
    bags = Bags.of(given_passages)
    assert counted(bags) == one_by_one(given_passages)
    assert [KINDS[kind] for kind in bags.kinds] == [each.kind for each in given_passages]
    assert bags.hashes.tolist() == sorted(set(bags.hashes.tolist()))


@given(st.lists(st.lists(passages, max_size=4), max_size=4))
@settings(max_examples=60)
def test_joined_parts_are_the_bags_of_all(parts):
    joined = Bags.join([Bags.of(part) for part in parts])
    every = [each for part in parts for each in part]
    assert counted(joined) == one_by_one(every)
    assert joined.counts.shape == (len(every), len(joined.hashes))
    assert len(joined.kinds) == len(every)


def test_what_stands_there_too_often_to_count_counts_as_the_most():
    bags = Bags.of([Passage("a.csv", 1, 1, "0 " * (MOST + 9), "data")])
    assert counted(bags)[0][term_hash("0")] == MOST


def test_bags_travel_between_processes():
    bags = Bags.of([Passage("a.py", 1, 1, "alpha beta alpha", "code")])
    assert counted(pickle.loads(pickle.dumps(bags))) == counted(bags)
