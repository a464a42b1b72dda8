"""What a notebook's cells take from other files."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorebook_daemon.index.loaders.imports import Origins, imported_names
from lorebook_daemon.index.loaders.names import names
from lorebook_daemon.index.loaders.notebook import load_notebook


def references(*sources):
    """Return what the last cell takes from other files."""
    cells = [(source, *names(source)) for source in sources]
    own = {name for source, defines, _ in cells for name in defines if name not in imported_names(source)}
    origins = Origins(own)
    return [origins.taken(source, defines, uses) for source, defines, uses in cells][-1]


@pytest.mark.parametrize(
    ("sources", "taken"),
    [
        (["from prep import clean", "clean(1)"], ("prep:clean",)),
        (["from prep import clean as tidy\ntidy(1)"], ("prep:clean",)),
        (["import prep", "prep.clean(prep.RATE)"], ("prep:RATE", "prep:clean")),
        (["import shop.orders as so", "so.total.cents()"], ("shop.orders:total",)),
        (["import shop.orders", "shop.orders.total()"], ("shop.orders:total",)),
        (["from shop import orders", "orders.total()"], ("shop.orders:total", "shop:orders")),
        (["from .near import f", "f()"], (".near:f",)),
        (["from .. import far", "far.f()"], ("..:far", "..far:f")),
        (["from prep import *", "clean(1)"], ("prep:clean",)),
        (["%run setup.ipynb", "clean(RATE)"], ("./setup.ipynb:RATE", "./setup.ipynb:clean")),
        (["%run -i ../lib/setup", "clean()"], ("./../lib/setup.py:clean",)),
        (["%run 'my file.py' --fast 3", "clean()"], ("./my file.py:clean",)),
        (["%run -t -N 5 setup.py", "clean()"], ("./setup.py:clean",)),
        (["%run\nother", "clean()"], ()),
        (["%run -m tools.setup 4", "clean()"], ("tools.setup:clean",)),
        (["%run setup.py\nclean()"], ("./setup.py:clean",)),
        (["from prep import clean", "def clean(): pass", "clean()"], ()),
        (["%run setup.ipynb", "x = 1", "x + 1"], ()),
        (["%run setup.ipynb", "import math, numpy as np", "math.sqrt(np.pi)"], ("numpy:pi",)),
        (["import json\nfrom pathlib import Path", "json.dumps(Path())"], ()),
        (["from prep import clean", "clean("], ()),
        (["x = 1", "x"], ()),
    ],
)
def test_references(sources, taken):
    assert references(*sources) == taken


def test_a_cell_does_not_define_what_it_imports(tmp_path):
    cells = [{"cell_type": "code", "source": source} for source in ("from prep import clean\nrate = 2", "clean(rate)")]
    units = load_notebook(Path("a.ipynb"), json.dumps({"cells": cells, "nbformat": 4}).encode())
    assert [unit.defines for unit in units] == [("rate",), ()]
    assert units[1].uses == ("clean", "rate", "prep:clean")


def test_a_module_imported_again_makes_no_output_stale():
    cells = [
        {"cell_type": "code", "source": source, "execution_count": count, "outputs": [shown]}
        for source, count in (("from prep import (clean,\n  rate)", 9), ("clean(rate)", 3))
        for shown in [{"output_type": "stream", "name": "stdout", "text": "1"}]
    ]
    units = load_notebook(Path("a.ipynb"), json.dumps({"cells": cells, "nbformat": 4}).encode())
    assert not any("stale" in line for unit in units for line in unit.context)


@given(st.lists(st.text(st.sampled_from("ab.:%run import*from\n ()=\"'-"), max_size=40), min_size=1, max_size=4))
def test_any_source_has_references_or_none(sources):
    for reference in references(*sources):
        origin, _, name = reference.rpartition(":")
        assert origin
        assert name.isidentifier()
