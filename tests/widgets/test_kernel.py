"""The extension in a real kernel, driven as Jupyter drives it."""

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

from fake_daemon import FakeDaemon
from lorebook_api.home import Home

CELLS = [
    "%load_ext lorebook",
    "1 / 0",
    "%%ask -k 3\nwhy does {Err[2]} happen?",
    "import lorebook\nlorebook.ask('why?')",
]


WIDGETS = [
    "import lorebook\nchat = lorebook.chat()\nchat.ask('which cell?')",
    "chat",
    "lorebook.examples(pairs={'Who?': 'Anna.'}).wait()",
    "lorebook.teach(pairs={'Who?': 'Anna.'})",
    "view = lorebook.IndexView(('/data',))\nview.update()\nview.wait()",
]
VIEW = "application/vnd.jupyter.widget-view+json"


def execute(cells: list[str], folder: Path) -> list[Any]:
    """Run cells as `jupyter nbconvert --execute` does, without a front end; return the outputs of each."""
    notebook = new_notebook(cells=[new_code_cell(text) for text in cells])
    told = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=60, allow_errors=True, resources=told).execute()
    nbformat.validate(notebook)
    return [cell.outputs for cell in notebook.cells]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Jupyter's own
def test_without_a_front_end_each_widget_is_a_text(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    with FakeDaemon(home.runtime):
        _, chat, examples, taught, index = execute(WIDGETS, tmp_path)
    told = {VIEW, "text/plain", "text/markdown"}
    assert [set(outputs[-1].data) for outputs in (chat, examples, taught, index)] == [told] * 4
    assert "Cell 5 drops them." in chat[-1].data["text/plain"] and "cell-id=c5" in chat[-1].data["text/markdown"]
    assert " → " in examples[-1].data["text/plain"] and "left out" in examples[-1].data["text/plain"]
    assert taught[0].data == {"text/plain": ""} and "done, active" in taught[-1].data["text/plain"]
    assert "17 passages" in index[-1].data["text/plain"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Jupyter's own
def test_a_notebook_keeps_its_answers(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    with FakeDaemon(home.runtime) as fake:
        fake.scripts.ask[3:3] = [0.2]
        outputs = execute(CELLS, tmp_path)
    first, second = (call.body for call in fake.of("/api/ask"))
    assert "ZeroDivisionError" in first["question"] and first["roots"] == [str(tmp_path)]
    assert second["question"] == "why?"
    (output,) = outputs[2]
    assert output.output_type == "display_data" and set(output.data) == {"text/plain", "text/markdown"}
    assert output.data["text/plain"].endswith("grounded 0.67")
    streamed, result = outputs[3]
    assert streamed.data == {"text/plain": ""}
    assert result.output_type == "execute_result" and "cell-id=c5" in result.data["text/markdown"]
