import json

from hypothesis import given
from hypothesis import strategies as st

from fake_shelf import Files
from lorebook_daemon.answer.context.windows import BEHIND, WINDOW, widened, with_neighbours

PROSE = "\n\n".join(f"Paragraph {n}. " + "It is about wells and pumps. " * 30 for n in range(6))
SHORT = "\n".join(f"line {n}" + " words" * 5 for n in range(200))


def cell(kind, source, **more):
    return {"cell_type": kind, "metadata": {}, "source": source, **more}


def notebook(*cells):
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells})


CELLS = Files(
    a__ipynb=notebook(
        cell("markdown", "# Why\n\nThe well fell dry."),
        cell("code", "x = 1", outputs=[], execution_count=1),
        cell("code", "y = 2", outputs=[], execution_count=2),
        cell("code", "z = 3", outputs=[], execution_count=3),
    )
)


def test_a_passage_gets_the_lines_around_it():
    files = Files(a__txt=SHORT)
    (own,) = files.hits("a.txt", 1)
    (wide,) = widened([own], files.beside)
    assert wide.passage.text == files.lines(wide.passage)
    added = len(wide.passage.text) - len(own.passage.text)
    assert WINDOW < added <= 2 * WINDOW + 2
    assert wide.passage.start_line < own.passage.start_line and wide.passage.end_line > own.passage.end_line


def test_lines_of_another_hit_and_longer_ones_than_the_window_are_left_out():
    files = Files(a__txt=SHORT)
    found = files.hits("a.txt", 0, 1)
    first, second = widened(found, files.beside)
    assert first == found[0] and second.passage.start_line == found[1].passage.start_line
    long = Files(a__txt=PROSE)
    assert widened(long.hits("a.txt", 2), long.beside) == long.hits("a.txt", 2)


def test_a_window_ends_with_its_cell_and_tables_have_none():
    assert widened(CELLS.hits("a.ipynb", 1), CELLS.beside) == CELLS.hits("a.ipynb", 1)
    table = Files(a__csv="id,level\n" + "\n".join(f"{n},{n * 3000}" for n in range(300)))
    assert widened(table.hits("a.csv", 0), table.beside) == table.hits("a.csv", 0)


def test_a_cell_brings_the_markdown_before_it_and_the_cell_after_it():
    found = CELLS.hits("a.ipynb", 1)
    around = with_neighbours(found, CELLS.beside)
    assert [one.passage.text for one in around] == ["x = 1", "# Why\n\nThe well fell dry.", "y = 2"]
    assert around[1].score == BEHIND
    assert [one.passage.text for one in with_neighbours(CELLS.hits("a.ipynb", 2), CELLS.beside)] == ["y = 2", "z = 3"]


def test_a_neighbour_comes_once():
    around = with_neighbours(CELLS.hits("a.ipynb", 3, 2), CELLS.beside)
    assert sorted(one.passage.text for one in around) == ["y = 2", "z = 3"]


rows = st.sampled_from(["", "word", "a longer line of words", "x" * 300, "y" * 900])


@given(st.lists(rows, min_size=1, max_size=40), st.data())
def test_a_window_is_the_files_own_lines_and_holds_the_passage(drawn, data):
    files = Files(a__txt="\n".join(drawn))
    count = len(files.passages["a.txt"])
    found = files.hits("a.txt", *data.draw(st.lists(st.integers(0, count - 1), unique=True))) if count else []
    for own, wide in zip(found, widened(found, files.beside), strict=True):
        assert wide.passage.text == files.lines(wide.passage)
        assert wide.passage.start_line <= own.passage.start_line <= own.passage.end_line <= wide.passage.end_line
        assert len(wide.passage.text) <= len(files.lines(own.passage)) + 2 * WINDOW + 42
