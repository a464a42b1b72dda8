"""Searching notebooks for the cell that sets a name, and for the one that failed: from the file to the order."""

from __future__ import annotations

import json

import pytest

from fakes import HashEmbedder
from lorebook_daemon.index.embed import passage_text
from lorebook_daemon.index.lexical import Lexical
from lorebook_daemon.index.passage import Passage
from lorebook_daemon.index.search import BY_FAILURE, BY_NAME, WAYS, Searcher
from lorebook_daemon.index.split import read_passages
from lorebook_daemon.index.vectors import Vectors


def cell(source, *outputs, kind="code"):
    return {"cell_type": kind, "source": source, "metadata": {}, **({"outputs": outputs} if kind == "code" else {})}


def note(text):
    return cell(text, kind="markdown")


def printed(text):
    return {"output_type": "stream", "name": "stdout", "text": text}


def raised(name, value):
    trace = ["Traceback (most recent call last)", f"{name}: {value}"]
    return {"output_type": "error", "ename": name, "evalue": value, "traceback": trace}


LEVELS = [
    note("# Levels of the river"),
    cell("import csv\nimport numpy as np"),
    cell("rows = list(csv.DictReader(open('levels.csv')))\ndf = [float(row['cm']) for row in rows if row['cm']]"),
    cell("print(len(df), min(df), max(df), sum(df) / len(df), sorted(df)[len(df) // 2])  # df at a glance"),
    note("## Flood\nThe threshold was agreed with the fire brigade: the threshold is low, the meadow floods early."),
    cell("threshold = 3.2 * np.median(df)\nfactor = 3.2"),
    cell("flooded = [one > threshold for one in df]\nprint('threshold', threshold, 'over threshold', sum(flooded))"),
    cell("mask = np.array(flooded)\nmask = mask & ~np.roll(mask, 1)"),
    note("Why the mask leaves out the first hour: the sensor is wet then, and the mask would count it as a flood."),
    cell("hours = mask.sum(); share = mask.mean(); print('mask', hours, share)"),
    cell("print('error of the gauge: 2 cm, no error beyond it, error bars left out')", printed("error of the gauge")),
    cell("table['crest'].plot()", raised("KeyError", "'crest'")),
    note("The standard error of the slope is computed from the residuals, and the error rate of the gauge is known."),
    cell("slope = np.polyfit(range(9), df[:9], 1)\nerror = np.std(df) / 3"),
    cell("payment = send(invoice)\nif payment.fails: retry(payment)  # the payment fails at night"),
]


@pytest.fixture
def passages(tmp_path):
    return read(tmp_path, LEVELS)


def read(folder, cells, name="levels.ipynb"):
    file = folder / name
    file.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}))
    return read_passages(file, name)


def first(passages, question, meaning, **more):
    """Return the index of the cell that comes first, None where nothing does or what comes is of no notebook."""
    rows = dict(enumerate(passages))
    embedder = HashEmbedder()
    vectors = Vectors.empty(embedder.dimensions)
    vectors.add(list(rows), embedder.embed([passage_text(one) for one in passages]))
    made = Searcher(
        Lexical.build(rows.items()),
        vectors if meaning else None,
        embedder if meaning else None,
        lambda ids: {key: rows[key] for key in ids},
        **more,
    )
    hits = made.search(question, 5)
    return hits[0].passage.cell.index if hits and hits[0].passage.cell else None


both = pytest.mark.parametrize("meaning", [True, False], ids=["hybrid", "words only"])


@both
@pytest.mark.parametrize(
    ("question", "index"),
    [
        ("df", 2),
        ("`df`", 2),
        ("where is df defined?", 2),
        ("where is `df` defined?", 2),
        ("where does df come from?", 2),
        ("which cell creates the variable df", 2),
        ("threshold", 5),
        ("what is threshold", 5),
        ("what is `threshold`?", 5),
        ("which cell sets threshold?", 5),
        ("where is the threshold set?", 5),
        ("Where do I set the threshold for the flood?", 5),
        ("where is `error` defined?", 13),
    ],
)
def test_the_cell_that_sets_a_name_comes_first(passages, meaning, question, index):
    assert first(passages, question, meaning) == index


@both
@pytest.mark.parametrize(
    ("question", "index"),
    [
        ("why is the threshold so low?", 4),
        ("threshold agreed with the fire brigade", 4),
        ("why does the mask leave out the first hour?", 8),
        ("hours and share of the mask", 9),
    ],
)
def test_a_word_that_happens_to_be_a_name_changes_nothing(passages, meaning, question, index):
    assert first(passages, question, meaning) == index
    without = [Passage(**{**fields(one), "defines": ()}) for one in passages]
    assert first(without, question, meaning) == index


def fields(passage):
    return {name: getattr(passage, name) for name in Passage.__dataclass_fields__}


def test_a_word_that_many_cells_define_is_a_word_like_others(tmp_path):
    many = [cell(f"result = step_{n}(grid)") for n in range(5)]
    found = read(tmp_path, [*many, note("What the result is: the result of the result table is a mean.")])
    assert first(found, "what is the result", meaning=False) == 5
    assert first([*found[:2], found[-1]], "what is the result", meaning=False) in (0, 1)


def test_a_name_that_is_sought_by_its_word_is_found_however_many_define_it(tmp_path):
    many = [cell(f"df = load('{n}.csv')") for n in range(5)]
    found = read(tmp_path, [*many, cell("print(df, df.mean(), df.max())  # df df df")])
    assert first(found, "where is df defined?", meaning=False) < 5


def test_a_script_is_not_left_behind_the_notebook(passages):
    script = Passage("lib/flood.py", 1, 2, "def threshold(df):\n    return threshold", "code", defines=("threshold",))
    rows = [script, *passages]
    assert first(rows, "threshold", meaning=False) is None
    assert first(passages, "threshold", meaning=False) == 5


@both
@pytest.mark.parametrize(
    "question",
    [
        "the error",
        "error",
        "which cell failed?",
        "Which cell fails here?",
        "what went wrong?",
        "why does it crash",
        "what broke?",
        "show me the traceback",
        "KeyError",
        "why is there a KeyError?",
        "what went wrong with the crest of the table?",
        "where does the error come from?",
    ],
)
def test_the_cell_that_failed_comes_first(passages, meaning, question):
    assert first(passages, question, meaning) == 11


@both
@pytest.mark.parametrize(
    ("question", "index"),
    [
        ("how is the standard error computed?", 12),
        ("what is the error rate of the gauge?", 12),
        ("are there error bars for the gauge?", 10),
        ("when the payment fails, is there a retry?", 14),
    ],
)
def test_an_error_that_is_a_quantity_and_a_failure_of_something_else_are_not_taken_for_the_failed_cell(
    passages, meaning, question, index
):
    assert first(passages, question, meaning) == index


def test_where_no_cell_failed_the_words_are_looked_for(passages):
    well = [one for one in passages if one.cell.shows != "error"]
    assert first(well, "the error", meaning=False) in (10, 12, 13)


@pytest.mark.parametrize(
    ("question", "way"), [("where is df defined?", BY_NAME), ("what went wrong with the gauge?", BY_FAILURE)]
)
def test_a_way_to_come_in_can_be_left_out(passages, question, way):
    crowd = [
        Passage(f"{n}.md", 1, 1, "df is defined: df, df. The gauge went wrong, gauge, gauge.", "doc") for n in range(80)
    ]
    rows = [*crowd, *passages]
    found = [first(rows, question, meaning=False, ways=ways) for ways in (WAYS, set(WAYS) - {way})]
    assert found[1] is None
    assert found[0] == {BY_NAME: 2, BY_FAILURE: 11}[way]
