"""Files made to hang a reader or to fill its memory, or far too large: each is skipped with why, the rest goes on."""

import json
import time
from pathlib import Path

import nbformat  # noqa: F401 - to import it takes longer than to read a notebook
import pytest

import fake_documents
from lorebook_api.indexing import Skipped
from lorebook_daemon.index.loaders import LOADERS
from lorebook_daemon.index.loaders import apart as running_apart
from lorebook_daemon.index.loaders.apart import Bounds, Child
from lorebook_daemon.index.passage import Unreadable
from lorebook_daemon.index.split import read_passages
from lorebook_daemon.index.update import update
from lorebook_daemon.index.walk import walk

DEEP = 10_000
SLOW_S = 20.0
"""On a machine that is busy; what is quadratic here takes minutes."""
JSON_READERS = [".json", ".geojson", ".jsonc", ".json5", ".jsonl", ".ndjson", ".ipynb", ".yaml", ".toml"]


def deep(depth, core="1"):
    return "[" * depth + core + "]" * depth


def deep_objects(depth):
    return '{"a": ' * depth + "1" + "}" * depth


def notebook(output):
    """Return a notebook whose one cell shows `output`, which is JSON."""
    data = f'{{"application/json": {output}, "text/plain": "<X object>"}}'
    shown = f'{{"output_type": "display_data", "metadata": {{}}, "data": {data}}}'
    cell = f'{{"cell_type": "code", "metadata": {{}}, "source": "x = 1", "outputs": [{shown}]}}'
    return f'{{"nbformat": 4, "nbformat_minor": 5, "metadata": {{}}, "cells": [{cell}]}}'


@pytest.mark.parametrize("suffix", JSON_READERS)
@pytest.mark.parametrize(
    "text", [deep(DEEP), deep_objects(DEEP), "[" * DEEP, notebook(deep(DEEP))], ids=lambda t: t[:12]
)
def test_json_nested_ten_thousand_deep_is_read_or_refused_at_once(suffix, text):
    began = time.monotonic()
    try:
        passages = read_passages(Path(f"a{suffix}"), f"a{suffix}", text.encode())
        assert passages and all(one.text in text for one in passages)
    except Unreadable as error:
        assert str(error)
    assert time.monotonic() - began < SLOW_S


def test_what_is_nested_too_deep_is_said_so():
    deep_page = fake_documents.docx("<w:sdt>" * DEEP + fake_documents.paragraph("words") + "</w:sdt>" * DEEP)
    for name, data in (("a.docx", deep_page), ("a.ipynb", notebook(deep(DEEP)).encode())):
        with pytest.raises(Unreadable, match="nested too deep"):
            read_passages(Path(name), name, data)


def test_a_notebook_that_shows_something_deep_keeps_its_other_cells():
    whole = json.loads(notebook("1"))
    whole["cells"].append({"cell_type": "markdown", "metadata": {}, "source": "Words."})
    text = json.dumps(whole).replace('"application/json": 1', f'"application/json": {deep(400)}')
    passages = read_passages(Path("a.ipynb"), "a.ipynb", text.encode())
    assert [one.text for one in passages][-1] == "Words."


@pytest.fixture
def sparse(tmp_path):
    """Return a notebook of two gigabytes that takes no room on disk."""
    file = tmp_path / "root" / "big.ipynb"
    file.parent.mkdir()
    with file.open("wb") as out:
        out.write(b'{"cells": [')
        out.truncate(2 * 1024**3)
    (file.parent / "a.md").write_text("# Small\n\nWords.")
    return file


def test_a_notebook_of_two_gigabytes_is_skipped_with_its_size_before_it_is_read(sparse, tmp_path):
    began = time.monotonic()
    found = list(walk(sparse.parent, 20))
    assert Skipped("big.ipynb", "2048 MB, above max_file_mb = 20") in found
    report = update(sparse.parent, tmp_path / "index", max_file_mb=20, report=lambda progress: None)
    assert (report.files, [one.path for one in report.skipped]) == (1, ["big.ipynb"])
    assert time.monotonic() - began < 5


def test_a_file_that_is_let_through_and_takes_too_much_is_skipped_and_the_rest_goes_on(tmp_path, monkeypatch):
    root = tmp_path / "root"
    root.mkdir()
    (root / "big.json").write_text("[" + "[],\n" * 2_500_000 + "[]]")
    (root / "z.md").write_text("# Small\n\nWords.")
    tight = Child(Bounds(seconds=60, megabytes=200, look_s=0.02))
    monkeypatch.setattr(running_apart, "kept_child", lambda: tight)
    try:
        report = update(root, tmp_path / "index", max_file_mb=20, alone=True, report=lambda progress: None)
    finally:
        tight.close()
    assert [(one.path, one.why) for one in report.skipped] == [
        ("big.json", "given up: it takes more than 200 MB of memory to read")
    ]
    assert report.files == 1


PUMPED = [
    "(",
    "[",
    "{",
    "<",
    "<a ",
    "<!--",
    "<![",
    "</",
    "&",
    '"',
    "'",
    "`",
    "*",
    "_",
    "#",
    "> ",
    "- ",
    "\\",
    "\\begin{",
    "$",
    "%",
    "---\n",
    "===\n",
    "a\n=\n",
    "{{",
    "<<",
    "x=(",
    "f(",
    "a,",
    '"""',
    "${",
    "/*",
    "//",
    ":",
    "\t",
    "\r",
    "1. ",
    "~~~\n",
    "![",
    "](",
    "|",
    "||",
    "a|b\n",
    "\\section{",
    "From a\n\n",
    "\n\n",
    "é",
    "\x0c",
    "0",
    "e+",
    "<v ",
]
LETTERS = 60_000
_TEXT = sorted(
    name for name, loader in LOADERS.items() if name.startswith(".") and not isinstance(loader, running_apart.Apart)
)
_SUFFIXES = [
    *sorted({loader: name for name, loader in LOADERS.items() if name in _TEXT}.values()),
    ".py",
    ".cpp",
    ".js",
    ".xml",
]


@pytest.mark.parametrize("suffix", _SUFFIXES)
def test_what_repeats_without_end_takes_no_more_than_seconds(suffix):
    for piece in PUMPED:
        text = piece * (LETTERS // len(piece))
        began = time.monotonic()
        try:
            read_passages(Path(f"a{suffix}"), f"a{suffix}", text.encode())
        except Unreadable as error:
            assert str(error)
        assert time.monotonic() - began < SLOW_S, piece
