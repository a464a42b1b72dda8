"""Executes sources/ into notebooks of project/: `python -m benchmarks.linked.build`, with nbclient and ipykernel.

A source is a script in jupytext's percent or light format. Where its header pairs it with a notebook, the script itself
is laid beside the notebook, as jupytext does it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).resolve().parent
SOURCES, PROJECT = HERE / "sources", HERE / "project"
_HEADER = re.compile(r"\A# ---\n(?:#.*\n)*?# ---\n")
_PERCENT = re.compile(r"^# %%( \[markdown\])?$\n", re.MULTILINE)
_LIGHT = re.compile(r"^# \+\n(?P<code>(?:.*\n)*?)# -\n|^(?P<note>(?:#.*\n)+)|^(?P<bare>(?:[^#\n].*\n)+)", re.MULTILINE)
_SECONDS = 60


def cells(text: str) -> Iterator[tuple[bool, str]]:
    """Yield whether a cell is Markdown, and its source, in the order of the script."""
    body = _HEADER.sub("", text)
    if _PERCENT.search(body):
        _, *rest = _PERCENT.split(body)
        yield from ((bool(mark), _bare(part, bool(mark))) for mark, part in zip(rest[::2], rest[1::2], strict=True))
        return
    for found in _LIGHT.finditer(body):
        note = found["note"]
        yield note is not None, _bare(note or found["code"] or found["bare"], note is not None)


def _bare(text: str, note: bool) -> str:
    return re.sub(r"^# ?", "", text, flags=re.MULTILINE).strip() if note else text.strip("\n")


def build(source: Path) -> None:
    """Execute one source where its notebook lies, and write that."""
    place = source.relative_to(SOURCES)
    text = source.read_text(encoding="utf-8")
    notebook = nbformat.v4.new_notebook(
        metadata={"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    )
    for nth, (note, content) in enumerate(cells(text)):
        new = nbformat.v4.new_markdown_cell if note else nbformat.v4.new_code_cell
        notebook.cells.append(new(content, id=hashlib.sha256(f"{place}/{nth}".encode()).hexdigest()[:8]))
    target = (PROJECT / place).with_suffix(".ipynb")
    NotebookClient(notebook, timeout=_SECONDS, resources={"metadata": {"path": target.parent}}).execute()
    for cell in notebook.cells:
        cell["metadata"] = {}
    notebook.metadata["language_info"] = {"name": "python", "file_extension": ".py", "mimetype": "text/x-python"}
    target.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
    if _HEADER.match(text):
        (PROJECT / place).with_suffix(".py").write_text(text, encoding="utf-8")


def main() -> None:
    """Build all notebooks; those that others run come first."""
    for source in sorted(SOURCES.rglob("*.txt"), key=lambda path: (path.stem != "setup", path)):
        build(source)
        print(source.relative_to(SOURCES), flush=True)


if __name__ == "__main__":
    main()
