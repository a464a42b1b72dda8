import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_shelf import Files, nothing
from lorebook_daemon.answer.context.constants import MOST, unsaid_values, with_constants
from lorebook_daemon.answer.context.steps import complete

FILL = "".join(f"def other_{n}(x):\n    return x * {n} + sum(range(x))\n\n\n" for n in range(60))


def python(head, body):
    """Return a file whose first passage holds `head`, and its last one `body`."""
    return Files(a__py=f"{head}\n\n\n{FILL}{body}\n")


def last(files):
    return files.hits("a.py", len(files.passages["a.py"]) - 1)


def brought(head, body):
    files = python(head, body)
    found = with_constants(last(files), files.beside)
    assert found[-1:] == last(files)
    assert all(one.passage.text == files.lines(one.passage) for one in found)
    return [one.passage.text for one in found[:-1]]


USE = "def bridged(gap):\n    return gap <= MAX_GAP"


@pytest.mark.parametrize(
    "line",
    [
        "MAX_GAP = timedelta(hours=9)",
        "MAX_GAP: Final[int] = 9",
        "const MAX_GAP = 9;",
        "#define MAX_GAP 9",
        "MAX_GAP = (\n    9,\n    hours,\n)",
    ],
)
def test_the_line_that_sets_a_constant_comes_before_the_passage_that_names_it(line):
    assert brought(f"import x\n\n{line}\nREST = 1", USE) == [line]


@pytest.mark.parametrize(
    "head",
    [
        "MAX_GAPS = 9",
        "if MAX_GAP == 9:\n    pass",
        "print(MAX_GAP)",
        "class Level:\n    pass",
        "MAX_GAP = [\n" + "    1,\n" * 40 + "]",
        "MAX_GAP = '" + "x" * 300 + "'",
        "try:\n    MAX_GAP = settings.gap\nexcept AttributeError:\n    MAX_GAP = 9",
    ],
)
def test_what_sets_none_or_two_or_a_table_is_left_out(head):
    assert brought(head, USE) == []


def test_a_member_is_no_constant_and_what_a_passage_sets_itself_is_not_brought():
    assert brought("HIGH = 1", "def level():\n    return Level.HIGH") == []
    assert brought("LIMIT = 1", "LIMIT = 2\n\ndef level():\n    return LIMIT") == []


def test_the_first_few_are_brought_each_once():
    names = [f"LIMIT_{letter}" for letter in "ABCDE"]
    head = "\n".join(f"{name} = {n}" for n, name in enumerate(names))
    body = f"def limits():\n    return [{', '.join([names[0], *names])}]"
    assert brought(head, body) == [f"{name} = {n}" for n, name in enumerate(names[:MOST])]


def test_a_constant_of_another_cell_is_brought_and_one_that_is_read_already_is_not():
    cells = [{"cell_type": "code", "metadata": {}, "outputs": [], "source": text} for text in ("GAP = 7", "x[:GAP]")]
    files = Files(a__ipynb=json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}))
    (sets,), (uses,) = files.hits("a.ipynb", 0), files.hits("a.ipynb", 1)
    assert [one.passage.cell.index for one in with_constants([uses], files.beside)] == [0, 1]
    assert with_constants([uses, sets], files.beside) == [uses, sets]
    assert with_constants([uses], nothing) == [uses]
    assert complete([uses], files.beside, {"copies"}) == (uses,)


@pytest.mark.parametrize(
    ("user", "line", "file"),
    [
        ("pack/run.py", "from pack.limits import (  # both\n    OTHER,\n    MAX_GAP,\n)", "pack/limits.py"),
        ("src/pack/deep/run.py", "from pack.limits import MAX_GAP, OTHER", "src/pack/limits.py"),
        ("pack/deep/run.py", "from ..limits import MAX_GAP", "pack/limits.py"),
        ("pack/run.py", "from . import MAX_GAP", "pack/__init__.py"),
        ("deep/run.py", "from root.limits import MAX_GAP", "limits.py"),
        ("deep/run.py", "from root import MAX_GAP", "__init__.py"),
    ],
)
def test_a_constant_is_brought_from_the_file_that_it_is_imported_from(user, line, file):
    files = Files(**{user: f"{line}\n\n\n{FILL}{USE}\n", file: "OTHER = 1\nMAX_GAP = 9\n"})
    found = with_constants(files.hits(user, len(files.passages[user]) - 1), files.beside)
    assert [(one.passage.path, one.passage.start_line, one.passage.text) for one in found[:-1]] == [
        (file, 2, "MAX_GAP = 9")
    ]


@pytest.mark.parametrize(
    "line", ["from limits import MAX_GAP as GAP", "from elsewhere import MAX_GAP", "from limits import MAX_GAPS"]
)
def test_what_is_imported_under_another_name_or_from_outside_is_not_brought(line):
    files = Files(a__py=f"{line}\n\n\n{FILL}{USE}\n", limits__py="MAX_GAP = 9\n")
    assert with_constants(last(files), files.beside) == last(files)


def test_a_constant_with_an_underscore_in_front_is_one():
    assert brought("_MAX_GAP = 9", USE.replace("MAX_GAP", "_MAX_GAP")) == ["_MAX_GAP = 9"]


@pytest.mark.parametrize(
    ("answer", "rows"),
    [
        ("It ends with `STARTUP_FAILURE`.", ["STARTUP_FAILURE = 3"]),
        ("STARTUP_FAILURE, which is 3.", []),
        ("It ends with 3.", []),
        ("It is kept under FOLDER.", ["FOLDER: Final = 'kept/here'"]),
        ("It is kept in kept/here, the FOLDER.", []),
        ("LEVELS has them, and TWICE too.", []),
        ("At most _MOST_ROWS.", ["#define _MOST_ROWS 40"]),
        ("The RMSE tells them apart.", []),
    ],
)
def test_a_name_that_an_answer_gives_for_a_value_is_told_with_it(answer, rows):
    text = "STARTUP_FAILURE = 3\nFOLDER: Final = 'kept/here'\nLEVELS = {\n    1: 2,\n}\n#define _MOST_ROWS 40\n"
    files = Files(a__py=text + "RMSE = root(error)\n", b__py="TWICE = 1\n", c__py="TWICE = 2\n")
    assert unsaid_values(answer, [one for each in files.passages.values() for one in each]) == rows


@given(st.text(alphabet="AB_=([{\"'#: \n9", max_size=80), st.text(alphabet="AB_=([{ \n", max_size=40))
def test_whatever_a_file_says_its_own_lines_are_brought(head, body):
    files = Files(a__py=f"{head}\n{FILL}{body}\nx = ABA\n")
    for place in range(len(files.passages["a.py"])):
        found = files.hits("a.py", place)
        whole = with_constants(found, files.beside)
        assert whole[-1:] == found and len(whole) <= MOST + 1
        assert all(one.passage.text == files.lines(one.passage) for one in whole)
