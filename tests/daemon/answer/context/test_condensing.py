from hypothesis import given
from hypothesis import strategies as st

from lorebook_daemon.answer.context.condensing import by_words, gaps, matching_lines, shortened

TEXT = """The pump house stands by the river.
It was built in 1961.
Its roof was mended twice.
The spare key hangs behind the pump house door.
Ask the caretaker first.
Nothing else is known of it."""


def test_lines_that_share_words_with_the_question_are_kept():
    kept = matching_lines("Where does the spare key hang?", TEXT, 120)
    assert 3 in kept and 5 not in kept
    assert "The spare key hangs behind" in shortened(TEXT, kept)


def test_a_line_next_to_a_match_comes_before_one_that_is_far_from_any():
    kept = matching_lines("Where does the spare key hang?", TEXT, 200)
    assert {2, 3, 4} & set(kept) > {3}


def test_where_nothing_matches_nothing_is_kept():
    assert matching_lines("Why is the moon yellow?", TEXT, 500) == []
    assert matching_lines("spare key", TEXT, 10) == []


def test_rare_words_count_more_than_common_ones():
    worth = by_words("pump house key", ["the pump house", "the pump house", "the pump house", "the key"])
    assert worth[3] > worth[0] / 2 and worth[3] > by_words("pump key", ["pump", "pump", "pump", "key"])[0]


def test_gaps_are_noted_where_they_are():
    assert shortened("a\nb\nc\nd", [1]) == "[… 1 line left out …]\nb\n[… 2 lines left out …]"
    assert gaps(4, [1]) == [(0, 0), (2, 3)]
    assert gaps(2, [0, 1]) == [] and gaps(0, []) == []


words = st.sampled_from(["spare", "key", "pump", "house", "river", "door", ""])


@given(st.lists(st.lists(words, max_size=6).map(" ".join), min_size=1, max_size=30), st.integers(0, 400))
def test_what_is_kept_is_within_bounds_and_nothing_is_lost_unsaid(lines, most):
    text = "\n".join(lines)
    kept = matching_lines("Where is the spare key of the pump?", text, most)
    assert kept == sorted(set(kept)) and all(lines[at].strip() for at in kept)
    if kept:
        assert len(shortened(text, kept)) <= most
    missing = {row for first, last in gaps(len(lines), kept) for row in range(first, last + 1)}
    assert missing | set(kept) == set(range(len(lines))) and not missing & set(kept)
