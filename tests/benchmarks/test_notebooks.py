"""The collection of notebooks and its queries: what their README promises."""

import json
import re
from functools import cache

import nbformat
import pytest
import Stemmer

from benchmarks.notebooks.build import cell_id, order, read
from benchmarks.notebooks.queries import (
    COLLECTION,
    HERE,
    KINDS,
    NAMED,
    SPLITS,
    Query,
    read_cells,
    read_named,
    read_notebooks,
    read_queries,
)
from lorebook_daemon.index.loaders.outputs import rendered

NOTEBOOKS = sorted(COLLECTION.glob("*.ipynb"))
QUERIES = read_queries()
STOP = set(
    """
    a about after again all an and any are as at be been before but by can could did do does each every for from has
    have how i if in into is it its many may me more most much my no not of off on once one or other our out over same
    so than that the their them then there this those to two up was we were what when where which while who why will
    with without would
    """.split()  # noqa: SIM905
)
stem = Stemmer.Stemmer("english").stemWord


def content_words(text):
    text = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)
    return [stem(word) for word in re.findall(r"[a-z]{2,}", text.lower()) if word not in STOP]


@cache
def texts(notebook):
    cells = json.loads((COLLECTION / notebook).read_text(encoding="utf-8"))["cells"]
    return {cell["id"]: "\n".join(["".join(cell["source"]), *rendered(cell.get("outputs")).lines]) for cell in cells}


def cell_text(notebook, wanted):
    return texts(notebook)[wanted]


def test_there_are_enough_notebooks():
    assert len(NOTEBOOKS) >= 12


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_small_valid_and_executed(path):
    text = path.read_text(encoding="utf-8")
    notebook = nbformat.reads(text, as_version=4)
    nbformat.validate(notebook)
    assert len(text) < 150_000
    assert 20 <= len(notebook.cells) <= 45
    assert any(cell.cell_type == "markdown" and cell.source.startswith("#") for cell in notebook.cells)
    assert sum(bool(cell.get("outputs")) for cell in notebook.cells) >= 8
    for place in re.findall(r"[~/][\w./-]*site-packages", text):
        assert place.startswith("~/.venv/"), "a path of the machine that built it"


def test_some_cells_fail_and_some_ran_out_of_order_or_never():
    code = [
        [c for c in json.loads(path.read_text(encoding="utf-8"))["cells"] if c["cell_type"] == "code"]
        for path in NOTEBOOKS
    ]
    outputs = [output for cells in code for cell in cells for output in cell["outputs"]]
    counts = [[cell["execution_count"] for cell in cells if cell["execution_count"]] for cells in code]
    assert sum(output["output_type"] == "error" for output in outputs) >= 12
    assert any(ran != sorted(ran) for ran in counts)
    assert any(cell["execution_count"] is None for cells in code for cell in cells)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_made_from_its_source_as_it_stands(path):
    cells = read((HERE / "sources" / f"{path.stem}.txt").read_text(encoding="utf-8"))
    made = nbformat.read(path, as_version=4).cells
    assert [(cell_id(path.stem, cell.tag), cell.shown) for cell in cells] == [(cell.id, cell.source) for cell in made]


def test_the_queries_are_numbered_and_there_are_enough_of_each_kind_and_split():
    assert [query.id for query in QUERIES] == [f"n{number:03}" for number in range(1, 295)]
    assert {query.kind for query in QUERIES} == set(KINDS)
    for kind in KINDS:
        of_kind = [query for query in QUERIES if query.kind == kind]
        assert len(of_kind) >= 73
        assert sum(query.split == "development" for query in of_kind) >= 24
    assert [sum(query.split == split for query in QUERIES) for split in SPLITS] == [98, 100, 96]


def test_no_query_is_asked_twice():
    assert len({query.text.lower() for query in QUERIES}) == len(QUERIES)


def test_every_notebook_is_asked_about():
    assert {query.notebook for query in QUERIES} == {path.name for path in NOTEBOOKS}


def test_the_right_cells_are_there():
    for query in QUERIES:
        assert query.cells
        assert set(query.cells) <= set(read_cells(query.notebook)), query.id
        tags = query.note.removeprefix("in the source: ").split(", ")
        name = query.notebook.removesuffix(".ipynb")
        assert query.cells == tuple(cell_id(name, tag) for tag in tags), query.id


def test_every_right_cell_can_be_found_as_a_passage():
    there = {(passage.path, passage.cell.id) for passage in read_notebooks()}
    assert {(query.notebook, cell) for query in QUERIES for cell in query.cells} <= there


def test_other_words_are_other_words():
    """Of the content words of such a query at most one stands in a right cell."""
    for query in (query for query in QUERIES if query.kind == "words"):
        asked = set(content_words(query.text))
        for cell in query.cells:
            shared = asked & set(content_words(cell_text(query.notebook, cell)))
            assert len(shared) <= 1, (query.id, query.text, cell, shared)


def phrases(text):
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[n : n + 4]) for n in range(len(words) - 3)}


def test_no_query_repeats_a_phrase_of_a_right_cell():
    """Four words in a row, whatever they are, are a phrase; what a traceback says is asked for as it stands there."""
    for query in QUERIES:
        for text in (cell_text(query.notebook, cell) for cell in query.cells):
            shared = set() if "Error" in text else phrases(query.text) & phrases(text)
            assert not shared, (query.id, shared)


def test_queries_by_name_and_by_error_are_beside_the_others():
    rows = [json.loads(line) for line in (HERE / "names.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["id"] for row in rows] == [f"m{number:03}" for number in range(1, 31)]
    assert [row["kind"] for row in rows] == [NAMED[0]] * 20 + [NAMED[1]] * 10
    assert not {row["query"].lower() for row in rows} & {query.text.lower() for query in QUERIES}
    for row in rows:
        tags = [tag.split("/") for tag in row["note"].removeprefix("in the sources: ").split(", ")]
        assert row["cells"] == [[f"{name}.ipynb", cell_id(name, tag)] for name, tag in tags], row["id"]
    asked = [question for _, question in read_named()]
    assert all(question.any_one and question.targets for question in asked)


def test_a_query_by_error_has_all_cells_that_failed_in_the_notebooks_it_speaks_of():
    failed = {(one.path, one.cell.index) for one in read_notebooks() if one.cell.shows == "error"}
    for kind, question in read_named():
        right = {(target.path, target.cell) for target in question.targets}
        if kind == "errors":
            assert right <= failed
            assert len(right) in (1, len(failed)) or question.text.startswith(("KeyError", "NameError"))


def test_development_is_every_third_number_and_the_later_rest_a_second_test():
    splits = [Query(f"n{number:03}", "code", "", "", ()).split for number in (1, 2, 3, 150, 151, 294)]
    assert splits == ["test", "test", "development", "development", "second", "development"]


SOURCE = """%% a md
# Title
%% b after=d
two()
%% c again=d
#~ old()
new()
%% d raises

1 / 0

%% e unrun
never()
"""


def test_a_source_is_read_into_cells():
    cells = read(SOURCE)
    assert [cell.tag for cell in cells] == list("abcde")
    assert [cell.shown for cell in cells] == ["# Title", "two()", "new()", "1 / 0", "never()"]
    assert cells[2].ran == "old()"
    assert cells[1].option("after") == "d"
    assert cells[1].option("again") is None


def test_cells_run_in_the_order_that_their_options_say():
    assert "".join(cell.tag for cell in order(read(SOURCE))) == "cdcb"


@pytest.mark.parametrize("source", ["%% a\n1\n%% a\n2\n", "%% a after=nowhere\n1\n"])
def test_tags_that_mean_nothing_are_refused(source):
    with pytest.raises(ValueError, match="tags that stand twice, or nowhere"):
        read(source)
