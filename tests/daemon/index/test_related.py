"""What is near to a passage: which one stands at a place, and what of the hits is not itself."""

from hypothesis import given
from hypothesis import strategies as st

from lorebook_daemon.index.passage import Cell, Passage
from lorebook_daemon.index.related import TEXT_MOST, is_other, passage_at, query_of


def lines(start, end, text="x", path="a.py"):
    return Passage(path, start, end, text, "code")


def in_cell(index, start=1, end=3):
    return Passage("a.ipynb", start, end, "x", "notebook", cell=Cell(f"c{index}", index, "code"))


@given(st.lists(st.integers(1, 9), min_size=1, max_size=9), st.integers(1, 90))
def test_a_line_is_in_the_passage_that_holds_it_or_the_one_before(lengths, line):
    passages, start = [], 1
    for length in lengths:
        passages.append(lines(start, start + length - 1))
        start += length + 1  # a blank line between, which is in none
    found = passage_at(passages, line)
    if line > passages[-1].end_line:
        assert found is None
        return
    assert found is not None and found.start_line <= line
    assert all(line < other.start_line or other.start_line <= found.start_line for other in passages)


def test_before_the_first_passage_there_is_none():
    assert passage_at([lines(5, 9)], 4) is None


def test_in_a_notebook_lines_count_within_the_cell_that_is_named():
    cells = [in_cell(0), in_cell(2), in_cell(2, 4, 8)]
    assert passage_at(cells, 5, 2) is cells[2]
    assert passage_at(cells, 1, 1) is None
    assert passage_at(cells, 1) is None


def test_a_passage_is_looked_up_by_the_lines_it_stands_under_and_its_text():
    method = Passage("a.py", 1, 2, "def fare(self): ...", "code", context=("class Taxi:",))
    assert query_of(method) == "class Taxi:\ndef fare(self): ..."
    assert len(query_of(lines(1, 2, "y" * 9999))) == TEXT_MOST


def test_neither_itself_nor_a_copy_nor_what_overlaps_is_another():
    known = lines(5, 9, "known")
    assert not is_other(known, known, in_one_root=True)
    assert not is_other(lines(1, 2, "known", "copy.py"), known, in_one_root=False)
    assert not is_other(lines(9, 12, "more"), known, in_one_root=True)
    assert is_other(lines(9, 12, "more"), known, in_one_root=False)
    assert is_other(lines(10, 12, "more"), known, in_one_root=True)
    assert is_other(lines(5, 9, "more", "b.py"), known, in_one_root=True)
    assert is_other(in_cell(1), Passage("a.ipynb", 1, 3, "y", "notebook", cell=Cell("c2", 2, "code")), in_one_root=True)
