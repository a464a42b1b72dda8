from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from fake_shelf import hit
from lorebook_daemon.answer.context.copies import ALIKE, resemblance, shingles, without_copies

CELL = "rain = load('rain.csv')\nwet = rain[rain.mm > 0.5]\nprint(len(wet), 'wet days of', len(rain), 'in the year')"


def test_a_copy_of_a_notebook_is_left_out_and_the_original_is_cited():
    found = [hit(CELL, "x/analysis-Copy1.ipynb", 0.9), hit("else", "b.md", 0.8), hit(CELL, "x/analysis.ipynb", 0.7)]
    kept = without_copies(found)
    assert [(one.passage.path, one.score) for one in kept] == [("x/analysis.ipynb", 0.9), ("b.md", 0.8)]


def test_of_nearly_equal_passages_the_better_one_stays_as_it_is():
    edited = CELL.replace("in the year", "in this year")
    found = [hit(edited, "long/path/a.ipynb", 0.9), hit(CELL, "a.ipynb", 0.8)]
    assert ALIKE > resemblance(shingles(CELL), shingles("rain = load('rain.csv')")) > 0
    assert without_copies(found) in ([found[0]], found)  # as their resemblance says, never the second alone
    same = CELL + "\n"
    assert without_copies([hit(same, "z.ipynb"), hit(CELL, "long/z.ipynb")]) == [hit(same, "z.ipynb")]


def test_another_number_is_another_fact():
    found = [hit(CELL, "a.ipynb"), hit(CELL.replace("0.5", "1.5"), "b.ipynb")]
    assert without_copies(found) == found


def test_short_passages_are_told_apart():
    found = [hit("a = b"), hit("a = c", "b.md"), hit("", "c.md")]
    assert without_copies(found) == found


texts = st.lists(st.sampled_from(["rain fell", "the well is dry", "x = 3", "level low"]), min_size=1, max_size=4)


@given(st.lists(st.tuples(texts, st.sampled_from(["a.md", "b.md", "folder/a.md"])), max_size=8))
def test_what_is_left_out_has_its_like_among_what_is_kept(drawn):
    found = [hit("\n".join(lines), path, 1 - rank / 10, rank + 1) for rank, (lines, path) in enumerate(drawn)]
    kept = without_copies(found)
    assert [one.score for one in kept] == sorted((one.score for one in kept), reverse=True)
    assert {one.passage for one in kept} <= {one.passage for one in found}
    for one in found:
        own = shingles(one.passage.text)
        assert any(resemblance(own, shingles(other.passage.text)) >= ALIKE for other in kept)
    assert without_copies(kept) == kept
    assert without_copies([replace(one, score=one.score / 2) for one in found]) == [
        replace(one, score=one.score / 2) for one in kept
    ]
