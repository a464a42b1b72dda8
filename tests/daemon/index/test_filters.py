"""Filters: which passages of a real index may be found, what is refused, and what is said where nothing matches."""

import json
import os
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import HashEmbedder
from lorebook_api.errors import BadRequest
from lorebook_api.retrieval import Filters
from lorebook_daemon.index.embedding import embed_missing
from lorebook_daemon.index.filters import check_filters, choose
from lorebook_daemon.index.opened import OpenIndex
from lorebook_daemon.index.records import FileRow
from lorebook_daemon.index.update import update

DAY = timedelta(days=1)


def cell(kind, text, tags=()):
    body = {"cell_type": kind, "id": f"c{abs(hash(text)) % 10**6}", "metadata": {"tags": list(tags)}, "source": text}
    return body | ({"outputs": [], "execution_count": 1} if kind == "code" else {})


def notebook(*cells):
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    root, folder = tmp_path_factory.mktemp("root"), tmp_path_factory.mktemp("index")
    files = {
        "src/fare.py": "def fare(km):\n    return 2.5 * km\n",
        "src/old/fare.py": "def fare(km):\n    return 2 * km\n",
        "tests/test_fare.py": "def test_fare():\n    assert fare(2) == 5\n",
        "docs/fare.md": "# Fare\n\nThe fare grows with the distance.\n",
        "fare.sql": "SELECT fare FROM trips WHERE km > 2;\n",
        "lab/fare.ipynb": notebook(
            cell("markdown", "The fare by hour"), cell("code", "fare = trips.fare.mean()", ("result", "fast"))
        ),
        "lab/other.ipynb": notebook(cell("code", "fare = 0", ("fast",))),
        "broken.ipynb": "{",
    }
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        age = 10 * DAY if "old" in name else DAY
        moment = (datetime.now() - age).timestamp()
        os.utime(file, (moment, moment))
    update(root, folder, max_file_mb=20, report=lambda progress: None)
    embed_missing(root, folder, HashEmbedder(16), lambda progress: None)
    index = OpenIndex.open(folder, HashEmbedder(16))
    yield index
    index.close()


def found(opened, **fields):
    return sorted({hit.passage.path for hit in opened.search("fare", 50, Filters(**fields))})


CODE = ["src/fare.py", "src/old/fare.py", "tests/test_fare.py"]
LAB = ["lab/fare.ipynb", "lab/other.ipynb"]
WITHIN = [
    ({}, ["docs/fare.md", "fare.sql", *LAB, *CODE]),
    ({"paths": ("src/",)}, ["src/fare.py", "src/old/fare.py"]),
    ({"paths": ("src/*.py",)}, ["src/fare.py"]),
    ({"paths": ("*.py", "!old/")}, ["src/fare.py", "tests/test_fare.py"]),
    ({"paths": ("src/", "!old/", "src/old/fare.py")}, ["src/fare.py", "src/old/fare.py"]),
    ({"paths": ("!*.py", "!lab/")}, ["docs/fare.md", "fare.sql"]),
    ({"paths": ("**/fare.*",)}, ["docs/fare.md", "fare.sql", "lab/fare.ipynb", "src/fare.py", "src/old/fare.py"]),
    ({"kinds": ("notebook",)}, LAB),
    ({"kinds": ("notebook", "doc")}, ["docs/fare.md", *LAB]),
    ({"languages": ("sql",)}, ["fare.sql"]),
    ({"languages": (".SQL", "Python"), "paths": ("!lab/", "!src/")}, ["fare.sql", "tests/test_fare.py"]),
    ({"notebooks": ("fare.ipynb",)}, ["lab/fare.ipynb"]),
    ({"notebooks": ("lab/other.ipynb", "/lab/fare.ipynb")}, LAB),
    ({"notebooks": ("are.ipynb",)}, []),
    ({"tags": ("result",)}, ["lab/fare.ipynb"]),
    ({"tags": ("result", "fast")}, LAB),
    ({"tags": ("fast",), "notebooks": ("other.ipynb",)}, ["lab/other.ipynb"]),
    ({"kinds": ("code",), "paths": ("src/",), "languages": ("py",)}, ["src/fare.py", "src/old/fare.py"]),
    ({"kinds": ("data",), "paths": ("src/",)}, []),
]


@pytest.mark.parametrize(("fields", "paths"), WITHIN, ids=[str(fields) for fields, _ in WITHIN])
def test_only_what_is_within_all_filters_is_found(opened, fields, paths):
    assert found(opened, **fields) == sorted(paths)


def test_a_time_bounds_from_below(opened):
    everything = found(opened)
    since = (datetime.now() - 5 * DAY).isoformat()
    assert found(opened, modified_since=since) == [path for path in everything if "old" not in path]
    assert found(opened, modified_since="2000-01-01") == everything
    assert found(opened, modified_since=(datetime.now().astimezone() + DAY).isoformat()) == []


def test_a_tag_finds_the_cell_and_not_its_notebook(opened):
    (hit,) = opened.search("fare", 50, Filters(tags=("result",)))
    assert hit.passage.cell.tags == ("result", "fast")


def test_a_filtered_search_looks_below_the_first_fifty(tmp_path):
    root, folder = tmp_path / "root", tmp_path / "index"
    root.mkdir()
    for n in range(80):
        (root / f"n{n}.md").write_text("fare fare fare\n")
    (root / "last.txt").write_text("the fare, once, among many other words that say something else\n")
    update(root, folder, max_file_mb=20, report=lambda progress: None)
    index = OpenIndex.open(folder, None)
    assert [hit.passage.path for hit in index.search("fare", 5, Filters(paths=("*.txt",)))] == ["last.txt"]


def told(opened, **fields):
    reach = opened.reach(Filters(**fields))
    return reach.some, list(reach.unmatched)


def test_what_matches_nothing_is_said_and_what_matches_is_not(opened):
    assert told(opened) == (True, [])
    assert told(opened, paths=("src/", "*.md")) == (True, [])
    assert told(opened, paths=("src/", "srcc/")) == (
        True,
        ["No file matches the path 'srcc/': paths are relative to the root."],
    )
    assert told(opened, paths=("!srcc/",)) == (True, [])
    some, said = told(opened, paths=("nowhere/",), notebooks=("gone.ipynb",), modified_since="9000-01-01")
    assert not some and len(said) == 3 and "9000-01-01" in said[2]
    assert told(opened, languages=("klingon",)) == (False, ["No passage is in the language 'klingon'."])
    assert told(opened, tags=("no-such",)) == (False, ["No cell has the tag 'no-such'."])
    assert told(opened, kinds=("data",)) == (False, ["No passage is of the kind 'data'."])
    assert told(opened, tags=("fast",), kinds=("doc",)) == (False, []), "each matches something"


@pytest.mark.parametrize("paths", [("!",), ("src/", "!"), ("",), ("# a note",), ("/",)])
def test_a_pattern_is_one_or_it_is_refused(paths):
    with pytest.raises(BadRequest) as caught:
        check_filters(Filters(paths=paths))
    assert "filters.paths" in caught.value.message and caught.value.hint


@pytest.mark.parametrize("since", ["yesterday", "2026-13-01", "7d", "99999-01-01"])
def test_a_time_that_is_none_says_what_to_send(since):
    with pytest.raises(BadRequest) as caught:
        check_filters(Filters(modified_since=since))
    assert "ISO 8601" in caught.value.hint


class Files:
    """An index of files alone, each of one passage with the file's id."""

    def __init__(self, paths):
        self.rows = {path: FileRow(n, (0, 0, 0), b"", None) for n, path in enumerate(paths)}

    def files(self):
        return self.rows

    def ids_where(self, files, kinds, languages, tags):
        return sorted(files) if files is not None else [row.id for row in self.rows.values()]


@given(st.lists(st.text(min_size=1, max_size=12), max_size=4), st.lists(st.text("ab/.", min_size=1, max_size=8)))
def test_any_text_is_a_pattern_or_a_bad_request(patterns, paths):
    index = Files(paths)
    try:
        chosen = choose(index, Filters(paths=tuple(patterns)))
    except BadRequest:
        return
    assert chosen is None or set(chosen) <= {row.id for row in index.rows.values()}
