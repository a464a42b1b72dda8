"""The extension in a real kernel, driven as Jupyter drives it."""

from pathlib import Path

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


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Jupyter's own
def test_a_notebook_keeps_its_answers(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = new_notebook(cells=[new_code_cell(text) for text in CELLS])
    with FakeDaemon(home.runtime) as fake:
        fake.scripts.ask[3:3] = [0.2]
        client = NotebookClient(
            notebook, timeout=60, allow_errors=True, resources={"metadata": {"path": str(tmp_path)}}
        )
        client.execute()
    nbformat.validate(notebook)
    first, second = (call.body for call in fake.of("/api/ask"))
    assert "ZeroDivisionError" in first["question"] and first["roots"] == [str(tmp_path)]
    assert second["question"] == "why?"
    (output,) = notebook.cells[2].outputs
    assert output.output_type == "display_data" and set(output.data) == {"text/plain", "text/markdown"}
    assert output.data["text/plain"].endswith("grounded 0.67")
    streamed, result = notebook.cells[3].outputs
    assert streamed.data == {"text/plain": ""}
    assert result.output_type == "execute_result" and "cell-id=c5" in result.data["text/markdown"]
