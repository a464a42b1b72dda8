"""What a search brings from other files."""

import numpy as np

from lorebook_daemon.index.neighbourhood import FOLLOWED, Neighbourhood
from lorebook_daemon.index.passage import Cell, Passage


def cell(text, uses=(), path="nb.ipynb", index=0, defines=()):
    return Passage(path, 1, 1, text, "notebook", "python", (), defines, uses, Cell(f"c{index}", index, "code"))


def code(path, text, defines=()):
    return Passage(path, 1, 1, text, "code", "python", defines=defines)


EVERY = {
    1: cell("clean(rows)", ("clean", "prep:clean")),
    2: code("prep.py", "def clean(rows): ...", ("clean",)),
    3: code("far/zoo.py", "def clean(cage): ...", ("clean",)),
    4: cell("x = 1\nx", index=1),
    5: code("nb.py", "x = 1\nx"),
    6: cell("RATE * 2", ("RATE", "./set.py:RATE"), index=2),
    7: code("set.py", "RATE = 7", ("RATE",)),
}


def neighbourhood(every=EVERY):
    return Neighbourhood(
        # The word index finds some of all that define a name, and so may miss set.py.
        defining=lambda names: {key: one for key, one in every.items() if set(names) & set(one.defines) - {"RATE"}},
        in_files=lambda paths: {key: one for key, one in every.items() if one.path in paths},
    )


def complete(keys, worth=None, every=EVERY):
    worth = worth or {}
    pool, scores = neighbourhood(every).complete(
        {key: every[key] for key in keys}, lambda ids: np.array([worth.get(key, 0.5) for key in ids])
    )
    return dict(zip(pool, scores.tolist(), strict=True))


def test_the_module_that_a_cell_imports_comes_in_and_no_other_of_its_names():
    assert complete([1]).keys() == {1, 2}


def test_what_a_run_file_sets_comes_in():
    assert complete([6]).keys() == {6, 7}


def test_what_is_there_stays_as_it_is():
    assert complete([2, 3, 4]) == {2: 0.5, 3: 0.5, 4: 0.5}
    assert complete([]) == {}


def test_a_script_gives_way_to_its_notebooks_cell():
    assert complete([4, 5], {4: 0.2, 5: 0.9}) == {4: 0.9}
    assert complete([5], {4: 0.0, 5: 0.9}) == {4: 0.9}


def test_a_script_stays_where_its_notebook_is_not_to_be_found():
    alone = {5: EVERY[5]}
    assert complete([5], every=alone) == {5: 0.5}


def test_only_the_best_are_followed():
    every = {**EVERY, **{key: code(f"m{key}.py", "x = 2") for key in range(10, 10 + FOLLOWED)}}
    many = [*range(10, 10 + FOLLOWED), 1]
    assert 2 not in complete(many, {1: 0.1}, every)
    assert 2 in complete(many, {1: 0.9}, every)
