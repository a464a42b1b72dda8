"""Indexes made to be measured: real passages, copies with other names, vectors after real ones."""

from contextlib import closing

import numpy as np

from benchmarks.first_index import first_index
from benchmarks.indexing import tiny_files
from benchmarks.stocked import drawn, milliseconds, stock
from benchmarks.tree import copies, questions
from fakes import HashEmbedder
from lorebook_daemon.index.opened import OpenIndex
from lorebook_daemon.index.passage import Passage

REAL = [
    Passage("a.py", 1, 2, 'def read_everything():\n    """Read what is there from the beginning."""', "code"),
    Passage("a.py", 4, 4, "forgotten = remembered", "code", defines=("forgotten",)),
    Passage("b.py", 1, 1, "another_function(value)", "code"),
]


def test_copies_come_after_the_real_ones_in_other_files_with_some_other_names():
    made = list(copies(REAL, 7))
    assert made[:3] == REAL
    assert [one.path for one in made[3:]] == ["copy1/a.py", "copy1/a.py", "copy1/b.py", "copy2/a.py"]
    many = list(copies(REAL, 15))
    assert len({one.text for one in many if one.path.endswith("b.py")}) > 1
    assert all(one.text.split("(")[0].startswith("another_function") for one in many if one.path.endswith("b.py"))


def test_questions_are_first_lines_of_docstrings():
    assert questions(REAL, 5) == ["Read what is there from the beginning"]


def test_drawn_vectors_begin_with_the_real_ones_and_have_length_one():
    real = HashEmbedder(16).embed(["one", "two", "three words here"])
    every = np.concatenate(list(drawn(real, 50)))
    assert every.shape == (50, 16)
    np.testing.assert_array_equal(every[:3], real)
    np.testing.assert_allclose(np.linalg.norm(every, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(every, np.concatenate(list(drawn(real, 50))))


def test_what_is_stocked_is_searched_as_any_index(tmp_path):
    embedder = HashEmbedder(16)
    real = embedder.embed([one.text for one in REAL])
    assert stock(tmp_path / "index", copies(REAL, 30), embedder.identity, drawn(real, 30)) == 30
    with closing(OpenIndex.open(tmp_path / "index", embedder)) as index:
        assert (index.retrieval, index.info().passages, index.info().vectors) == ("hybrid", 30, 30)
        assert index.search("read everything", 1)[0].passage.path.endswith("a.py")
        assert len(milliseconds(lambda question: index.search(question, 3), ["forgotten", "value"])) == 2


def test_the_products_own_worker_is_timed(tmp_path):
    tiny_files(tmp_path / "root", 5)
    took = first_index(tmp_path / "root", tmp_path / "index")
    assert 0 < took.seconds < 60
    assert 20 < took.worker_mb < took.all_mb, "what reads for it is counted"
    with closing(OpenIndex.open(tmp_path / "index", None)) as index:
        assert index.info().files == 5
        assert index.search("function0", 1)[0].passage.path == "part0/module0.py"
