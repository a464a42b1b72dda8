"""Executes sources/*.txt into collection/*.ipynb: `python build.py [NAME]...`, in the environment of requirements.txt.

A source is plain text. A line `%% TAG [OPTION]...` starts a cell; what follows is its content. Options:

- `md`: the cell is Markdown; without it, code
- `raises`: the cell ends in an error, and is kept with its traceback
- `unrun`: the cell was never run
- `after=TAG`: the cell was run after that one, and not where it stands
- `again=TAG`: the cell was run where it stands, and once more after that one

In code, a line `#~ TEXT` says that the line below it read TEXT when the cell was last run: the output is a stale one.
"""

from __future__ import annotations

import hashlib
import re
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

HERE = Path(__file__).resolve().parent
_HEAD = re.compile(r"^%% (\S+)(.*)$", re.MULTILINE)
_STALE = re.compile(r"^#~ ?(.*)\n.*$", re.MULTILINE)
_SECONDS = 120
_CHANCE = {re.compile(r"(?<= at )0x[0-9a-f]+"): "0x7f0000000000", re.compile(r"(?<=ipykernel_)\d+"): "1000"}
"""What differs from run to run and says nothing: addresses in memory, numbers of processes."""
_FIRST = """
import os
import matplotlib.pyplot as plt
from IPython import get_ipython
os.environ["COLUMNS"] = "100"
get_ipython().run_line_magic("matplotlib", "inline")
plt.rcParams.update({"figure.dpi": 45, "savefig.dpi": 45, "figure.figsize": (4.6, 2.8)})
del os, plt, get_ipython
"""
"""Run before the first cell, and not kept: figures are small, so that notebooks are."""


@dataclass(frozen=True)
class Source:
    """One cell as its author wrote it."""

    tag: str
    options: frozenset[str]
    text: str

    def option(self, name: str) -> str | None:
        """Return what stands after `name=`, and None where it is not given."""
        return next((one.partition("=")[2] for one in self.options if one.startswith(f"{name}=")), None)

    @property
    def shown(self) -> str:
        """The text as the notebook shows it, without what lines read before."""
        return re.sub(r"^#~.*\n", "", self.text, flags=re.MULTILINE)

    @property
    def ran(self) -> str:
        """The text as it was when it was last run."""
        return _STALE.sub(r"\1", self.text)


def read(text: str) -> list[Source]:
    """Return the cells of a source; raises ValueError for a tag given twice or named and not there."""
    heads = list(_HEAD.finditer(text))
    ends = [head.start() for head in heads[1:]] + [len(text)]
    cells = [
        Source(head[1], frozenset(head[2].split()), text[head.end() : end].strip("\n"))
        for head, end in zip(heads, ends, strict=True)
    ]
    tags = [cell.tag for cell in cells]
    named = [tag for cell in cells for name in ("after", "again") if (tag := cell.option(name))]
    wrong = {tag for tag in tags if tags.count(tag) > 1} | set(named).difference(tags)
    if wrong:
        raise ValueError(f"tags that stand twice, or nowhere: {sorted(wrong)}")
    return cells


def cell_id(notebook: str, tag: str) -> str:
    """Return the id of a cell: eight hexadecimal digits that tell a reader nothing."""
    return hashlib.sha256(f"{notebook}/{tag}".encode()).hexdigest()[:8]


def order(cells: list[Source]) -> list[Source]:
    """Return the code cells in the order in which they were run, some of them twice."""
    code = [cell for cell in cells if not cell.options & {"md", "unrun"}]
    ran = [cell for cell in code if not cell.option("after")]
    for cell in code:
        for name in ("after", "again"):
            if tag := cell.option(name):
                ran.insert(max(n for n, one in enumerate(ran) if one.tag == tag) + 1, cell)
    return ran


def build(name: str) -> None:
    """Execute the source of that name and write its notebook; raises where a cell fails that should not."""
    cells = read((HERE / "sources" / f"{name}.txt").read_text(encoding="utf-8"))
    notebook = nbformat.v4.new_notebook(
        metadata={"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    )
    made = {cell.tag: _cell(name, cell) for cell in cells}
    notebook.cells = list(made.values())
    _run(notebook, [(cell, made[cell.tag]) for cell in order(cells)])
    for cell in cells:
        made[cell.tag]["source"] = cell.shown
        made[cell.tag]["metadata"] = {}
    notebook.metadata["language_info"] = {"name": "python", "file_extension": ".py", "mimetype": "text/x-python"}
    nbformat.validate(notebook)
    text = nbformat.writes(notebook).replace(sys.prefix, "~/.venv")
    for pattern, instead in _CHANCE.items():
        text = pattern.sub(instead, text)
    (HERE / "collection" / f"{name}.ipynb").write_text(text + "\n", encoding="utf-8")


def _cell(name: str, cell: Source) -> nbformat.NotebookNode:
    new = nbformat.v4.new_markdown_cell if "md" in cell.options else nbformat.v4.new_code_cell
    return new(cell.ran if "md" not in cell.options else cell.shown, id=cell_id(name, cell.tag))


def _run(notebook: nbformat.NotebookNode, ran: list[tuple[Source, nbformat.NotebookNode]]) -> None:
    """Run the cells one after another in one kernel, in an empty folder."""
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(notebook, timeout=_SECONDS, resources={"metadata": {"path": folder}})
        with client.setup_kernel():
            if client.kc is None:
                raise RuntimeError("the kernel did not start")
            client.kc.execute(_FIRST, silent=True, store_history=False)
            for source, cell in ran:
                try:
                    client.execute_cell(cell, notebook.cells.index(cell))
                except CellExecutionError:
                    if "raises" not in source.options:
                        raise


def main() -> None:
    """Build the notebooks that are named, or all of them."""
    for name in sys.argv[1:] or sorted(path.stem for path in (HERE / "sources").glob("*.txt")):
        build(name)
        size = (HERE / "collection" / f"{name}.ipynb").stat().st_size
        print(f"{name}: {size / 1000:.0f} kB", flush=True)


if __name__ == "__main__":
    main()
