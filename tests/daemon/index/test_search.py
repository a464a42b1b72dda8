from __future__ import annotations

import pytest

from fakes import HashEmbedder
from lorebook_api.retrieval import Filters
from lorebook_daemon.index.embed import passage_text
from lorebook_daemon.index.lexical import Lexical
from lorebook_daemon.index.passage import Passage
from lorebook_daemon.index.search import Searcher
from lorebook_daemon.index.signals import CELL_SIGNALS, SIGNALS
from lorebook_daemon.index.trace import AMONG_ALL, FINAL, FUSED, MEANING, WORDS, Trace
from lorebook_daemon.index.vectors import Vectors

PASSAGES = [
    Passage("shop/cart.py", 1, 9, "class Cart:\n  def total(self): return sum(self.prices)", "code", defines=("Cart",)),
    Passage("shop/pay.py", 1, 9, "def pay(cart): Cart.check(cart); Cart.lock(cart); Cart.close(cart)", "code"),
    Passage("tests/test_cart.py", 1, 9, "def test_total_of_a_cart(): assert Cart().total() == 0", "code"),
    Passage("model.ipynb", 1, 9, "train_test_split(rows, test_size=0.25)", "notebook"),
    Passage("notes.md", 1, 9, "Prices are kept in cents, because sums of floats drift.", "doc"),
    Passage("prices.csv", 1, 9, "article,price,currency", "data"),
]


def searcher(passages=PASSAGES, meaning=True, **more):
    rows = list(enumerate(passages))
    embedder = HashEmbedder()
    vectors = Vectors.empty(embedder.dimensions)
    vectors.add([key for key, _ in rows], embedder.embed([passage_text(passage) for passage in passages]))
    found = {"vectors": vectors, "embedder": embedder} if meaning else {"vectors": None, "embedder": None}
    table = dict(rows)
    return Searcher(
        Lexical.build(rows), fetch=lambda ids: {key: table[key] for key in ids if key in table}, **found, **more
    )


both = pytest.mark.parametrize("meaning", [True, False], ids=["hybrid", "words only"])


@both
@pytest.mark.parametrize(
    ("question", "path"),
    [
        ("Cart", "shop/cart.py"),
        ("why are prices kept in cents?", "notes.md"),
        ("what size has the split of the rows?", "model.ipynb"),
        ("which column holds the currency of an article", "prices.csv"),
        ("which test covers the total of a cart", "tests/test_cart.py"),
    ],
)
def test_right_passage_comes_first(meaning, question, path):
    assert searcher(meaning=meaning).search(question, 5)[0].passage.path == path


@both
def test_scores_fall_and_stay_within_one(meaning):
    scores = [hit.score for hit in searcher(meaning=meaning).search("total of the cart", 6)]
    assert scores == sorted(scores, reverse=True)
    assert 0.0 <= scores[-1] <= scores[0] <= 1.0


@both
def test_only_the_kind_asked_for(meaning):
    hits = searcher(meaning=meaning).search("cart prices", 6, Filters(kinds=("data",)))
    assert {hit.passage.kind for hit in hits} == {"data"}
    two = searcher(meaning=meaning).search("cart prices", 6, Filters(kinds=("data", "doc")))
    assert {hit.passage.kind for hit in two} == {"data", "doc"}


def test_what_only_an_index_can_tell_is_not_passed_over_without_one():
    with pytest.raises(ValueError, match="no index"):
        searcher().search("cart", 5, Filters(paths=("shop/",)))


def test_a_traced_search_is_the_same_search_and_its_steps_lead_to_the_score():
    trace = Trace()
    plain, traced = searcher().search("Cart", 6), searcher().search("Cart", 6, trace=trace)
    assert [(hit.id, hit.score) for hit in plain] == [(hit.id, hit.score) for hit in traced]
    steps = {step.name: step for step in trace.of(traced[0].id)}
    names = [WORDS, MEANING, FUSED, *SIGNALS, AMONG_ALL, *CELL_SIGNALS, FINAL]
    assert list(steps) == names
    assert steps[FINAL].rank == 1 and steps[FINAL].score == pytest.approx(traced[0].score, abs=1e-6)
    assert steps["definition"].factor > 2, "it defines what is asked for"
    note = {step.name: step for step in trace.of(4)}
    assert note["definition"].rank == 0 and note[AMONG_ALL].rank > 0, "signals of code do not see a note"


def test_k_limits_the_hits():
    assert len(searcher().search("cart total prices", 2)) == 2


def test_nothing_known_finds_nothing_by_words():
    assert searcher(meaning=False).search("zebra quagga", 5) == []


@both
def test_empty_root(meaning):
    assert searcher([], meaning=meaning).search("cart", 5) == []


@pytest.mark.parametrize("question", ["", "   ", "???", "\x00", "🦓", "a" * 9999])
def test_odd_questions_do_no_harm(question):
    assert len(searcher().search(question, 5)) <= 5


def test_passage_that_was_deleted_meanwhile_is_left_out():
    whole = searcher()
    gone = Searcher(whole.lexical, whole.vectors, whole.embedder, lambda ids: {4: PASSAGES[4]})
    assert [hit.id for hit in gone.search("cart", 5)] == [4]
    assert Searcher(whole.lexical, whole.vectors, whole.embedder, lambda ids: {}).search("cart", 5) == []


def test_better_match_scores_higher_than_that_of_another_root():
    other = searcher([Passage("zoo.md", 1, 1, "the cart of the zebra", "doc"), *PASSAGES[4:]], meaning=False)
    here = searcher(meaning=False).search("total prices of the Cart", 1)[0]
    assert here.score > other.search("total prices of the Cart", 1)[0].score


class Seer(HashEmbedder):
    """Knows that the question of other words means the last of the notes."""

    def embed(self, texts):
        return super().embed([NOTES[-1].text if text == IN_OTHER_WORDS else text for text in texts])


IN_OTHER_WORDS = "which vessel carried freight abroad last winter, by weight"
NOTES = [
    *(Passage(f"note{n}.md", 1, 1, f"weight {n} of the winter parcel {n * 7}", "doc") for n in range(60)),
    Passage("ship.md", 1, 1, "A steamer took the tonnage overseas in January.", "doc"),
]


def test_meaning_decides_where_the_question_is_put_in_other_words():
    rows, embedder = list(enumerate(NOTES)), Seer()
    vectors = Vectors.empty(embedder.dimensions)
    vectors.add([key for key, _ in rows], embedder.embed([passage.text for passage in NOTES]))
    asked = Searcher(Lexical.build(rows), vectors, embedder, lambda ids: {key: NOTES[key] for key in ids})
    assert asked.search(IN_OTHER_WORDS, 1)[0].passage.path == "ship.md"
    assert asked.search("the winter parcel 413", 1)[0].passage.path == "note59.md"


def test_definition_comes_in_where_the_lists_miss_it():
    mentions = [Passage(f"m{n}.py", 1, 1, "Cart Cart Cart", "code") for n in range(60)]
    defining = Passage("far.py", 1, 60, "Cart " + "filler words that dilute " * 60, "code", defines=("Cart",))
    assert searcher([*mentions, defining], meaning=False).search("Cart", 1)[0].passage.path == "far.py"


def test_a_signal_can_be_left_out():
    first = searcher(signals={}, meaning=False).search("Cart", 1)[0]
    assert first.passage.path != "shop/cart.py"


def test_without_spread_one_file_may_have_all_the_first_places():
    shop = [
        Passage(
            "shop/fare.py",
            10 * n,
            10 * n + 1,
            f"fare = base_{n}  # the fare of zone {n}\nfare += toll",
            "code",
            "python",
        )
        for n in range(1, 5)
    ]
    other = Passage("shop/map.py", 1, 1, "zone = 4  # fare", "code", "python")
    found = searcher([*shop, other], meaning=False)
    assert "shop/map.py" in [hit.passage.path for hit in found.search("fare of the zone", 4)]
    assert {hit.passage.path for hit in found.search("fare of the zone", 4, spread=False)} == {"shop/fare.py"}
