from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lorebook.cells import CellRecord, SeenCell, notebook_file, read_cells
from lorebook.context import ABOVE_MOST, CONTEXTS, Surroundings
from lorebook_api.errors import BadRequest, NotFound


def saved(folder: Path, *sources: str) -> Path:
    cells = [
        {
            "cell_type": "code",
            "id": f"c{i}",
            "source": [source],
            "execution_count": i + 1,
            "outputs": [{"output_type": "stream", "text": [f"out {i}\n"]}],
        }
        for i, source in enumerate(sources)
    ]
    file = folder / "a.ipynb"
    file.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    return file


def run(record: CellRecord, cell_id: str, source: str, count: int) -> None:
    info = SimpleNamespace(cell_id=cell_id, raw_cell=source)
    record.begin(info)
    record.record(SimpleNamespace(info=info, execution_count=count))


def around(folder: Path, names: dict[str, Any], record: CellRecord | None = None, here: str = "") -> Surroundings:
    return Surroundings(names, record or CellRecord(), str(folder), repr, here)


@pytest.fixture
def notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = saved(tmp_path, "x = 1", "y = 2", "ask")
    monkeypatch.setenv("JPY_SESSION_NAME", str(file))
    return file


def test_the_cells_above_with_their_places(notebook: Path) -> None:
    gathered = around(notebook.parent, {}, here="c2").gather(["above"])
    first, second = gathered.attachments
    assert (first.title, first.text, first.path) == ("cell 0 [In 1]", "x = 1", "a.ipynb")
    assert (second.cell_id, second.cell_index, second.execution_count) == ("c1", 1, 2)


def test_a_cell_that_ran_since_it_was_saved_is_sent_as_it_ran(notebook: Path) -> None:
    record = CellRecord()
    run(record, "c0", "x = 99", 7)
    gathered = around(notebook.parent, {}, record, "c2").gather(["above", "cell"])
    assert [one.text for one in gathered.attachments] == ["x = 99", "y = 2", "x = 99"]
    assert gathered.attachments[0].title == "cell 0 [In 7]"


def test_many_cells_above_are_cut_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JPY_SESSION_NAME", str(saved(tmp_path, *(f"x = {i}" for i in range(30)))))
    gathered = around(tmp_path, {}, here="c29").gather(["above"])
    assert len(gathered.attachments) == ABOVE_MOST and gathered.attachments[-1].text == "x = 28"
    assert gathered.notices == ("9 cells further up are not sent.",)


def test_without_a_notebook_what_was_typed_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    here = around(tmp_path, {"In": ["", "x = 1", "y = 2", "%%ask"], "Out": {2: [1, 2]}})
    assert [one.text for one in here.gather(["above"]).attachments] == ["x = 1", "y = 2"]
    assert here.gather(["output"]).attachments[0].text == "[1, 2]"


def test_the_output_of_the_cell_that_ran_last(notebook: Path) -> None:
    record = CellRecord()
    run(record, "c1", "y = 2", 2)
    (output,) = around(notebook.parent, {}, record).gather(["output"]).attachments
    assert (output.title, output.text) == ("output of cell 1 [In 2]", "out 1")


def test_the_last_error_with_its_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        raise ValueError("password='hunter2'")
    except ValueError as error:
        monkeypatch.setattr(sys, "last_value", error, raising=False)
        monkeypatch.setattr(sys, "last_exc", error, raising=False)
    (told,) = around(tmp_path, {}).gather(["error"]).attachments
    assert told.title == "the last error" and "ValueError" in told.text and "hunter2" not in told.text


def test_only_what_was_asked_for_and_nothing_else(notebook: Path) -> None:
    here = around(notebook.parent, {"n": 3, "key": "sk-abcdefghijklmnopqrstuvwx"})
    (one,) = here.gather(["var:n"]).attachments
    assert (one.title, one.text) == ("variable n", "n: int, 3")
    assert "sk-" not in here.gather(["var:key"]).attachments[0].text
    assert here.gather([]).attachments == ()


def test_what_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("last_exc", "last_value"):
        monkeypatch.delattr(sys, name, raising=False)
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    for word in (*CONTEXTS, "var:n"):
        with pytest.raises(NotFound):
            around(tmp_path, {}).gather([word])
    with pytest.raises(BadRequest, match="weather"):
        around(tmp_path, {}).gather(["weather"])


def test_a_notebook_outside_the_root_is_sent_without_a_path(notebook: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    assert {one.path for one in around(other, {}, here="c2").gather(["above"]).attachments} == {""}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"cells": 3}', '{"cells": [3]}', '{"cells": [{"outputs": [7]}]}'])
def test_a_broken_notebook_has_no_cells(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.ipynb").write_text(text)
    assert read_cells(tmp_path / "a.ipynb") == ()


def test_where_the_notebook_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    assert notebook_file({}) is None
    file = saved(tmp_path, "x")
    assert notebook_file({"__vsc_ipynb_file__": str(file)}) == file
    assert read_cells(file) == (SeenCell("x", "c0", 0, 1, "out 0"),)
