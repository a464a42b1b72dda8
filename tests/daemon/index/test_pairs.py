"""Notebooks and the scripts they are paired with."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorebook_daemon.index.pairs import PAIRED, mainly, notebook_of, pairing, twins
from lorebook_daemon.index.passage import Cell, Passage

HEADER = """# ---
# jupyter:
#   jupytext:
#     formats: {formats}
#     text_representation:
#       extension: .py
# ---
"""


def script(text, path="a/nb.py", context=()):
    return Passage(path, 1, 1, text, "code", "python", context)


def cell(text, index=0, path="a/nb.ipynb"):
    return Passage(path, 1, 1, text, "notebook", "python", cell=Cell(f"c{index}", index, "code"))


@pytest.mark.parametrize(
    ("text", "formats"),
    [
        (HEADER.format(formats="ipynb,py:percent") + "\nx = 1\n", "ipynb,py:percent"),
        (HEADER.format(formats="nb//ipynb,py//py:light"), "nb//ipynb,py//py:light"),
        ("---\njupyter:\n  jupytext:\n    formats: ipynb,md\n---\n# T\n", "ipynb,md"),
        ("# ---\n# title: formats\n#   formats: a\n# ---\n", ""),
        ("x = 1\n" + HEADER.format(formats="ipynb,py"), ""),
        ("# ---\n" * 1, ""),
        ("", ""),
    ],
)
def test_pairing(text, formats):
    assert pairing(text) == formats


@pytest.mark.parametrize(
    ("path", "context", "notebook"),
    [
        ("a/nb.py", (), "a/nb.ipynb"),
        ("nb.py", (PAIRED + "ipynb,py:percent",), "nb.ipynb"),
        ("nb.R", (), "nb.ipynb"),
        ("p/py/deep/nb.py", (PAIRED + "nb//ipynb,py//py:light",), "p/nb/deep/nb.ipynb"),
        ("py/nb.py", (PAIRED + "nb//ipynb,py//py:light",), "nb/nb.ipynb"),
        ("elsewhere/nb.py", (PAIRED + "nb//ipynb,py//py:light",), None),
        ("nb.csv", (), None),
    ],
)
def test_notebook_of(path, context, notebook):
    assert notebook_of(script("", path, context)) == notebook


def test_a_cell_has_no_notebook_beside_it():
    assert notebook_of(cell("x")) is None


CELLS = {
    1: cell("# Title\nSome words", 0),
    2: cell("x = 1\n\ny = 2\nprint(x + y)\n3", 1),
    3: cell("%matplotlib inline", 2),
}


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        (HEADER.format(formats="ipynb,py:percent") + "\n# %% [markdown]\n# # Title\n# Some words\n", {1}),
        ("# %%\nx = 1\n\ny = 2\nprint(x + y)\n\n# %%\n# %matplotlib inline", {2, 3}),
        ("# +\nx = 1\n# -", {2}),
        ("y = 2\nprint(x + y)", {2}),
    ],
    ids=["percent", "two cells", "light", "a part"],
)
def test_a_script_that_says_what_its_cells_say(text, cells):
    assert twins({9: script(text)}, CELLS).get(9, {}).keys() == cells


@pytest.mark.parametrize("text", ["x = 1\ny = 3", "# %%\n\n", "", "z = 1"])
def test_what_the_notebook_does_not_say_stays(text):
    assert twins({9: script(text)}, CELLS) == {}


def test_a_script_of_another_name_stays():
    assert twins({9: script("x = 1", "a/other.py"), 8: script("x = 1", "b/nb.py")}, CELLS) == {}


def test_which_cell_is_mainly_repeated():
    (repeated,) = twins({9: script("# %matplotlib inline\nx = 1\ny = 2\nprint(x + y)")}, CELLS).values()
    assert mainly(repeated) == [2]


@given(st.lists(st.text(max_size=12), max_size=6), st.sampled_from(["# %%\n", "# +\n", "\n", ""]))
def test_a_cell_pasted_into_its_script_is_repeated_or_says_nothing(lines, mark):
    text = "\n".join(lines)
    found = twins({9: script(mark + text)}, {1: cell(text)})
    assert found in ({}, {9: {1: 1.0}})


@given(st.lists(st.sampled_from(["x = 1", "y = 2", "# words"]), min_size=1, max_size=6))
def test_a_line_that_is_typed_into_the_script_keeps_it(lines):
    text = "\n".join(lines)
    assert twins({9: script(text)}, {1: cell(text)}) == {9: {1: 1.0}}
    assert twins({9: script(f"{text}\nnew = 3")}, {1: cell(text)}) == {}
