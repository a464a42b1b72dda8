"""The tour: it runs from top to bottom, teaches five cells, and is no part of what is asked about."""

from __future__ import annotations

import shutil
from pathlib import Path

import nbformat
import pathspec
import pytest
from nbclient import NotebookClient

from fake_daemon import FakeDaemon
from lorebook_daemon.teach.recipes import find_recipe
from lorebook_daemon.teach.select import Selection, read_cells

SAMPLES = Path(__file__).parents[2] / "samples"
TOUR = SAMPLES / "tour.ipynb"


def test_it_is_not_indexed_with_the_sources():
    lines = (SAMPLES / ".lorebookignore").read_text(encoding="utf-8").splitlines()
    assert pathspec.GitIgnoreSpec.from_lines(lines).match_file(TOUR.name)


def test_it_is_kept_without_outputs_and_is_valid():
    book = nbformat.read(TOUR, as_version=nbformat.NO_CONVERT)
    nbformat.validate(book)
    assert all(not cell.outputs and cell.execution_count is None for cell in book.cells if cell.cell_type == "code")


def test_its_tagged_cells_are_five_questions_with_answers():
    cells = read_cells(TOUR, Selection(tags=("tour",)))
    examples = list(find_recipe("qa")(cells))
    assert len(examples) == 5
    assert all(example.turns[0].content.endswith("?") and example.answer.endswith(".") for example in examples)
    known = "".join(path.read_text(encoding="utf-8") for path in SAMPLES.rglob("*.md"))
    assert not any(example.answer in known for example in examples)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Jupyter's own
def test_it_runs_from_top_to_bottom(home, tmp_path, monkeypatch):
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    shutil.copy(TOUR, tmp_path)
    notebook = nbformat.read(tmp_path / TOUR.name, as_version=4)
    with FakeDaemon(home.runtime) as daemon:
        NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert [output.text for output in outputs if output.output_type == "stream" and output.name == "stderr"] == []
    assert [call.body["grounding"] for call in daemon.of("/api/ask")] == [True, True, True, False, False, False, True]
    (taught,) = daemon.of("/api/teach")
    assert taught.body["notebooks"] == [str(tmp_path / TOUR.name)]
    assert (taught.body["tags"], taught.body["recipe"], taught.body["name"]) == (["tour"], "qa", "tour")
