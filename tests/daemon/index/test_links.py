"""Links between files: where a cell's names come from."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorebook_daemon.index.links import Reference, led_to, linked, references, unlinked
from lorebook_daemon.index.passage import Cell, Passage
from lorebook_daemon.index.rank import Question
from lorebook_daemon.index.signals import links


def cell(path, text="", uses=(), defines=()):
    return Passage(path, 1, 1, text, "notebook", "python", defines=defines, uses=uses, cell=Cell("c", 0, "code"))


def code(path, text="", defines=()):
    return Passage(path, 1, 1, text, "code", "python", defines=defines)


@pytest.mark.parametrize(
    ("origin", "path"),
    [
        ("prep", "work/prep.py"),
        ("prep", "prep.py"),
        ("prep", "work/prep/__init__.py"),
        ("shop.orders", "src/shop/orders.py"),
        ("shop", "src/shop/orders.py"),  # the package hands on what a module of it sets
        (".prep", "work/prep.py"),
        ("..prep", "prep.py"),
        ("./prep.ipynb", "work/prep.ipynb"),
        ("./../lib/prep.py", "lib/prep.py"),
    ],
)
def test_what_is_meant(origin, path):
    assert Reference("work/a.ipynb", origin, "f").distance(path) is not None


@pytest.mark.parametrize(
    ("origin", "path"),
    [
        ("prep", "work/prepare.py"),
        ("prep", "work/prep.md"),
        ("shop.orders", "src/orders.py"),
        ("orders.shop", "src/shop/orders.py"),
        (".prep", "other/prep.py"),
        ("./prep.py", "prep.py"),
        ("./../../../prep.py", "prep.py"),
    ],
)
def test_what_is_not_meant(origin, path):
    assert Reference("work/a.ipynb", origin, "f").distance(path) is None


def test_the_nearest_of_several_files_is_meant():
    user = cell("a/nb/one.ipynb", uses=("prep:f",))
    here, there = code("a/src/prep.py", defines=("f",)), code("b/prep.py", defines=("f",))
    assert linked([user, there, here]) == {(0, 2): {"f"}}
    assert linked([user, there]) == {(0, 1): {"f"}}


def test_a_module_before_one_below_it():
    user = cell("one.ipynb", uses=("shop:f",))
    assert linked([user, code("shop/deep.py", defines=("f",)), code("shop/__init__.py", defines=("f",))]) == {
        (0, 2): {"f"}
    }


def test_a_file_that_is_run_may_be_a_notebook():
    user = cell("one.ipynb", uses=("./set.ipynb:RATE", "./set.ipynb:KM"))
    assert linked([user, cell("set.ipynb", defines=("RATE", "KM", "x"))]) == {(0, 1): {"RATE", "KM"}}


def test_plain_names_lead_nowhere():
    assert references(cell("one.ipynb", uses=("f", "prep:f"))) == [Reference("one.ipynb", "prep", "f")]
    assert linked([cell("one.ipynb", uses=("f",)), code("prep.py", defines=("f",))]) == {}


def test_what_is_lacking_is_found():
    wanted = [Reference("one.ipynb", "prep", "f"), Reference("one.ipynb", "prep", "g")]
    assert unlinked([code("prep.py", defines=("f",))], wanted) == wanted[1:]
    assert led_to(wanted, {7: code("prep.py", defines=("g",)), 8: code("other.py", defines=("g",))}) == [7]


@pytest.mark.parametrize("path", ["x/nb/prep.py", "x/prep.py", "src/prep.py", "x/lib/prep/__init__.py"])
def test_a_place_that_is_looked_at_is_one_that_is_meant(path):
    reference = Reference("x/nb/one.ipynb", "prep", "f")
    assert path in set(reference.places())
    assert reference.distance(path) is not None


POOL = [
    cell("one.ipynb", "fill_gaps(rows)", uses=("prep:fill_gaps",)),
    code("prep.py", defines=("fill_gaps",)),
    code("zoo.py", defines=("fill_gaps",)),
]


@pytest.mark.parametrize(
    "question", ["how are missing rows treated in one", "fill_gaps", "the way in which gaps are filled"]
)
def test_what_a_cell_takes_is_raised_by_the_cell(question):
    raised = links(Question.read(question), POOL, np.array([0.9, 0.1, 0.2]))
    assert raised[1] > raised[2] == 0.2
    assert raised[0] > raised[1]


def test_it_is_raised_more_where_the_name_is_asked_about():
    scores = np.array([0.9, 0.1, 0.2])
    by_name, by_cell = (
        links(Question.read(text), POOL, scores)[1] for text in ("how to fill gaps?", "how are rows treated?")
    )
    assert by_name > by_cell


@pytest.mark.parametrize(
    "question", ["how many gaps are there?", "which error did it raise?", "the chart of the gaps", "why fill gaps?"]
)
def test_what_the_cell_shows_is_not_in_what_it_takes(question):
    scores = np.array([0.9, 0.1, 0.2])
    assert links(Question.read(question), POOL, scores).tolist() == scores.tolist()


ORIGINS = st.text(st.sampled_from("./ab"), min_size=1, max_size=8)
PATHS = st.lists(st.sampled_from(["a", "b", "__init__"]), min_size=1, max_size=4).map("/".join)


@given(PATHS, ORIGINS)
def test_every_place_that_is_looked_at_is_meant(folder, origin):
    reference = Reference(f"{folder}.ipynb", origin, "f")
    for place in reference.places():
        if not place.startswith(("..", "/")):
            assert isinstance(reference.distance(place), int | None)
