"""The extension in a real kernel, before the real daemon and the real small model."""

from __future__ import annotations

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

pytestmark = [pytest.mark.model, pytest.mark.daemon, pytest.mark.timeout(300)]

CELLS = [
    "%load_ext lorebook",
    "%ask -k 2 --max-tokens 30 when does the ferry to Amrum leave?",
    "place = 'Amrum'",
    "%%ask -k 2 --max-tokens 30\nwhen does the ferry\nto {place} leave?",
    "import lorebook\nanswer = lorebook.ask('when does the ferry leave?', max_tokens=30)\nanswer",
    "%lore status",
    "%ask --root gone what is this?",
]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Jupyter's own
def test_magics_leave_plain_text_and_markdown(person, convinced, tmp_path, monkeypatch):
    text = "# Ferry\n\nThe ferry to Amrum leaves at 9:40 from pier 3.\n"
    (person.folder / "ferry.md").write_text(text, encoding="utf-8")
    theirs = person.env | {"LOREBOOK_MODEL": str(convinced)}
    for name in ("LOREBOOK_HOME", "LOREBOOK_MODEL", "LOREBOOK_OFFLINE"):
        monkeypatch.setenv(name, theirs[name])
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = new_notebook(cells=[new_code_cell(text) for text in CELLS])
    where = {"metadata": {"path": str(person.folder)}}
    NotebookClient(notebook, timeout=60, resources=where).execute()
    nbformat.validate(notebook)

    for cell in (notebook.cells[1], notebook.cells[3]):
        (output,) = cell.outputs
        assert output.output_type == "display_data" and set(output.data) == {"text/plain", "text/markdown"}
        assert "ferry.md" in output.data["text/plain"] and "](" in output.data["text/markdown"]
        assert "9:40" in output.data["text/plain"] and output.data["text/plain"].splitlines()[-1].startswith(
            "convinced"
        )
    result = notebook.cells[4].outputs[-1]
    assert result.output_type == "execute_result" and "ferry.md" in result.data["text/markdown"]
    assert f"pid {person.daemon().pid}" in notebook.cells[5].outputs[0].text
    (complaint,) = notebook.cells[6].outputs
    assert complaint.name == "stderr" and complaint.text.startswith("lorebook: gone does not exist")
