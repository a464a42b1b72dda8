"""Files made to hang a reader or to fill its memory, or far too large: each is skipped with why, the rest goes on."""

import json
import time
from pathlib import Path

import nbformat  # noqa: F401 - to import it takes longer than to read a notebook
import pytest

import fake_documents
from lorebook_api.indexing import Skipped
from lorebook_daemon.index.batch import Wanted, prepare
from lorebook_daemon.index.bounds import Bounds
from lorebook_daemon.index.loaders import LOADERS
from lorebook_daemon.index.loaders import apart as running_apart
from lorebook_daemon.index.loaders.apart import Child
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


def of_cells(*cells):
    """Return a notebook of cells: pairs of a source and of the HTML that it shows, or the source of Markdown."""
    made = []
    for cell in cells:
        source, html = cell if isinstance(cell, tuple) else (cell, None)
        data = {"text/plain": "<X object>", "text/html": html}
        shown = {"outputs": [{"output_type": "display_data", "metadata": {}, "data": data}]} if html else {}
        made.append({"cell_type": "code" if html else "markdown", "metadata": {}, "source": source, **shown})
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": made})


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
        batch = prepare([Wanted(stat) for stat in walk(root, 20)])
    finally:
        tight.close()
    assert [(one.stat.path, one.why, len(one.rows)) for one in batch.files] == [
        ("big.json", "given up: it takes more than 200 MB of memory to read", 0),
        ("z.md", None, 1),
    ]


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
        began = time.process_time()
        try:
            read_passages(Path(f"a{suffix}"), f"a{suffix}", text.encode())
        except Unreadable as error:
            assert str(error)
        assert time.process_time() - began < SLOW_S, piece


@pytest.mark.parametrize(
    "piece", [*PUMPED, "<![<![", " ", "\n", "import a;", "a.b", "lambda a=", "title='", "labels={'a':'b',", "%run "]
)
def test_what_repeats_within_a_notebook_takes_no_more_than_seconds_and_no_other_cell(piece):
    text = piece * (LETTERS // len(piece))
    began = time.process_time()
    passages = read_passages(
        Path("a.ipynb"), "a.ipynb", of_cells("Words before.", ("x = 1", text), (text, "<p>y"), text, "After.").encode()
    )
    assert time.process_time() - began < SLOW_S
    assert [passages[0].text, passages[-1].text] == ["Words before.", "After."]
    assert any(one.text.startswith("x = 1") for one in passages)


def test_what_is_imported_whole_many_times_is_looked_for_in_the_nearest():
    source = "\n".join(f"from m{number} import *" for number in range(15_000))
    names = "\n".join(f"name{number}" for number in range(15_000))
    passages = read_passages(Path("a.ipynb"), "a.ipynb", of_cells((source, "<p>a"), (names, "<p>b")).encode())
    found = {use for one in passages for use in one.uses if ":" in use}
    assert "m14999:name0" in found and "m0:name0" not in found
    assert len(found) <= 5_000


def test_every_notebook_of_much_html_is_read_to_the_same_bound():
    html = "<p>" + "words " * 10_000
    passages = read_passages(
        Path("a.ipynb"), "a.ipynb", of_cells(*((f"x = {n}", html) for n in range(15)), ("y", "<p>z")).encode()
    )
    assert sum("characters of HTML left out" in one.text for one in passages) == 16
    assert passages[-1].text == "y\n<X object>\n[… 4 characters of HTML left out …]"


def test_markup_that_the_parser_refuses_is_read_without_its_tags():
    (passage,) = read_passages(Path("a.ipynb"), "a.ipynb", of_cells(("x", "<b>Words</b> <![ <i>more</i>")).encode())
    assert passage.text.startswith("x\nWords") and "more" in passage.text and "<b>" not in passage.text


def test_a_comparison_in_html_is_no_tag():
    (passage,) = read_passages(Path("a.ipynb"), "a.ipynb", of_cells(("x", "<b>significant</b> at p < 0.05")).encode())
    assert passage.text == "x\nsignificant at p < 0.05"
