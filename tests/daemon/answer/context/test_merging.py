import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_shelf import Files
from lorebook_daemon.answer.context.families import family, joined
from lorebook_daemon.answer.context.merging import LARGEST, merged

STEPS = "\n\n".join(
    f"    level_{n} = read('gauge {n}') + offset_{n}  # centimetres above the sill\n    check(level_{n})"
    for n in range(30)
)
SMALL, LAST = "def small():\n    return 1", "def last():\n    return 2\n"
CODE = f"import gauges\n\n\n{SMALL}\n\n\ndef levels(offset):\n{STEPS}\n    return level_1\n\n\n{LAST}"
PROSE = (
    "# Wells\n\n"
    + "## Drilling\n\n"
    + "\n\n".join(f"Paragraph {n} tells how well {n} was drilled. " * 6 for n in range(8))
    + ("\n\n## Pumps\n\nAnother section on pumps. " * 2)
)
TABLE = "id,level\n" + "\n".join(f"{n},{n * 3}" for n in range(90)) + "\n"
OUTPUT = [{"output_type": "stream", "name": "stdout", "text": "\n".join(f"row {n} is dry" for n in range(50))}]
CELLS = [
    {"cell_type": "markdown", "metadata": {}, "source": "# Levels"},
    {"cell_type": "code", "metadata": {}, "execution_count": 1, "source": STEPS.replace("    ", ""), "outputs": OUTPUT},
    {"cell_type": "code", "metadata": {}, "execution_count": 2, "source": "x = 1", "outputs": []},
]
NOTEBOOK = json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": CELLS})


@pytest.fixture
def files():
    return Files(a__py=CODE, a__md=PROSE, a__csv=TABLE, a__ipynb=NOTEBOOK)


def pieces(files, path, word):
    return [place for place, one in enumerate(files.passages[path]) if word in one.text]


def test_a_function_found_in_pieces_comes_whole(files):
    places = pieces(files, "a.py", "level_")
    assert len(places) >= 3
    (whole,) = merged(files.hits("a.py", *places[::-1]), files.beside)
    assert whole.passage.text.startswith("def levels(offset):") and whole.passage.text.endswith("return level_1")
    assert whole.passage.text == files.lines(whole.passage)
    assert whole.score == 1.0 and whole.passage.context == ()


def test_it_stands_where_its_best_piece_stood(files):
    places = pieces(files, "a.py", "level_")
    other = files.hits("a.md", 0)
    found = [*other, *files.hits("a.py", *places)]
    assert [one.passage.path for one in merged(found, files.beside)] == ["a.md", "a.py"]


def test_too_few_pieces_stay_pieces(files):
    found = files.hits("a.py", pieces(files, "a.py", "level_")[1])
    assert merged(found, files.beside) == found


def test_a_section_comes_whole_and_not_its_neighbour(files):
    places = pieces(files, "a.md", "was drilled")
    assert len(places) > 1
    (whole,) = merged(files.hits("a.md", *places), files.beside)
    assert "pumps" not in whole.passage.text and whole.passage.text == files.lines(whole.passage)
    assert whole.passage.context == ("Wells", "Drilling")


def test_a_cell_comes_whole_with_its_outputs(files):
    cell = [place for place, one in enumerate(files.passages["a.ipynb"]) if one.cell and one.cell.index == 1]
    assert len(cell) > 2
    (whole,) = merged(files.hits("a.ipynb", *cell), files.beside)
    assert whole.passage.cell is not None and whole.passage.cell.index == 1
    assert whole.passage.text.split("\n")[0].startswith("level_0") and whole.passage.text.endswith("row 49 is dry")
    assert whole.passage.end_line == whole.passage.text.count("\n") + 1


def test_tables_and_files_that_changed_are_left_alone(files):
    found = files.hits("a.csv", *range(len(files.passages["a.csv"])))
    assert merged(found, files.beside) == found
    code = files.hits("a.py", *pieces(files, "a.py", "level_"))
    assert merged(code, Files(a__py="x = 1\n").beside) == code


def test_what_is_too_long_stays_in_pieces():
    long = Files(a__py=f"def f():\n{STEPS * 3}\n")
    assert len(STEPS) * 3 > LARGEST
    found = long.hits("a.py", *range(len(long.passages["a.py"])))
    assert merged(found, long.beside) == found


def test_passages_apart_are_not_joined(files):
    first, *_, last = files.passages["a.py"]
    assert joined([first, last]) is None


lines = st.sampled_from(
    ["", "", "x = 1", "    y = 2", "def f():", "class A:", "# word word word", "    def g(self):", "z" * 400]
)


@given(st.lists(lines, min_size=1, max_size=60), st.sampled_from(["a__py", "a__md", "a__txt"]), st.data())
def test_whatever_is_merged_is_the_files_own_lines(drawn, name, data):
    files = Files(**{name: "\n".join(drawn)})
    path = name.replace("__", ".")
    count = len(files.passages[path])
    places = data.draw(st.lists(st.integers(0, count - 1), unique=True)) if count else []
    found = files.hits(path, *places)
    after = merged(found, files.beside)
    assert all(one.passage.text == files.lines(one.passage) for one in after)
    covered = {row for one in after for row in range(one.passage.start_line, one.passage.end_line + 1)}
    assert all(one.passage.start_line in covered and one.passage.end_line in covered for one in found)
    spans = sorted((one.passage.start_line, one.passage.end_line) for one in after)
    assert all(before[1] < later[0] for before, later in itertools.pairwise(spans))
    for one in found:
        assert one.passage in family(one.passage, files.passages[path])
