import json
from pathlib import Path

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorebook_daemon.index.loaders.names import names
from lorebook_daemon.index.loaders.notebook import load_notebook
from lorebook_daemon.index.loaders.outputs import MOST_LINES, rendered
from lorebook_daemon.index.passage import Unreadable
from lorebook_daemon.index.split import read_passages

HERE = Path("a.ipynb")


def code(source, outputs=(), count=None, **more):
    return {"cell_type": "code", "source": source, "outputs": list(outputs), "execution_count": count, **more}


def prose(source, **more):
    return {"cell_type": "markdown", "source": source, "metadata": {}, **more}


def book(*cells, minor=5, **metadata):
    return json.dumps({"cells": list(cells), "metadata": metadata, "nbformat": 4, "nbformat_minor": minor}).encode()


def stream(text, name="stdout"):
    return {"output_type": "stream", "name": name, "text": text}


def shown(**data):
    return {"output_type": "display_data", "data": data, "metadata": {}}


def test_a_cell_carries_its_place_and_its_outputs_after_its_source():
    data = book(
        prose("# Cleaning\n\nWhy.", id="m1"),
        code([], id="empty"),
        code(["n = 3\n", "print(n)"], [stream("3\n")], 7, id="c1"),
    )
    first, second = load_notebook(HERE, data)
    assert (first.text, first.cell.type, first.cell.index, first.context) == ("# Cleaning\n\nWhy.", "markdown", 0, ())
    assert second.text == "n = 3\nprint(n)\n3"
    assert (second.cell.id, second.cell.index, second.cell.execution_count) == ("c1", 2, 7)
    assert (second.kind, second.language, second.context) == ("notebook", "python", ("Cleaning",))
    assert (second.defines, second.uses) == (("n",), ())


def test_headings_above_are_a_path():
    units = load_notebook(HERE, book(prose("# A"), prose("## B\n\n### C"), code("x"), prose("## D"), code("y")))
    assert [unit.context for unit in units] == [(), ("A",), ("A", "B", "C"), ("A",), ("A", "D")]


def test_cells_without_ids_get_stable_ones():
    data = book(prose("a"), code("b"), minor=4)
    assert [unit.cell.id for unit in load_notebook(HERE, data)] == ["cell-0", "cell-1"]


def test_format_3_is_read():
    old = {
        "metadata": {"name": "old"},
        "nbformat": 3,
        "nbformat_minor": 0,
        "worksheets": [
            {
                "cells": [
                    {"cell_type": "heading", "level": 2, "source": ["Part"], "metadata": {}},
                    {
                        "cell_type": "code",
                        "input": ["1+1"],
                        "language": "python",
                        "collapsed": False,
                        "metadata": {},
                        "prompt_number": 4,
                        "outputs": [{"output_type": "pyout", "text": ["2"], "metadata": {}, "prompt_number": 4}],
                    },
                ],
                "metadata": {},
            }
        ],
    }
    heading, cell = load_notebook(HERE, json.dumps(old).encode())
    assert heading.text == "## Part"
    assert (cell.text, cell.context) == ("1+1\n2", ("Part",))
    assert (cell.cell.id, cell.cell.execution_count) == ("cell-1", 4)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "not JSON"),
        (b"hello", "not JSON"),
        (b"{}", "not a notebook"),
        (b"[1, 2]", "not a notebook"),
        (b'{"nbformat": 4, "nbformat_minor": 5, "metadata": {}}', "not a notebook"),
        (b'{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": {}}', "no list"),
        (b'{"nbformat": 3, "metadata": {}, "worksheets": [{"cells": [{}]}]}', "old format"),
        (book(), "without cells"),
        (b"\x00\x01\x02", "binary"),
    ],
)
def test_what_is_no_notebook_says_so(data, why):
    with pytest.raises(Unreadable, match=why):
        read_passages(HERE, "a.ipynb", data)


def test_a_long_cell_is_split_into_code_and_outputs_that_keep_their_lines():
    source = "\n\n".join(f"def step_{i}(frame):\n    return frame.assign(column_{i}={i} * frame.a)" for i in range(40))
    outputs = "\n".join(f"row {i} " + "v" * 60 for i in range(50))
    data = book(prose("# T"), code(source, [stream(outputs)], 2, id="c"))
    _, *parts = read_passages(HERE, "a.ipynb", data)
    rows = [*source.split("\n"), *outputs.split("\n")]
    assert len(parts) > 3
    for part in parts:
        assert part.text == "\n".join(rows[part.start_line - 1 : part.end_line])
        assert part.cell.id == "c"
    lines_of_code = source.count("\n") + 1
    assert all(part.end_line <= lines_of_code or part.start_line > lines_of_code for part in parts)
    assert parts[-1].context == ("T", "output of: return frame.assign(column_39=39 * frame.a)")
    assert "step_39" in next(part for part in parts if "step_39" in part.text).defines


def test_a_cell_magic_names_the_language():
    units = load_notebook(HERE, book(code("%%bash\nls"), code("%%time\nx = 1"), code("SELECT 1"), language_info={}))
    assert [unit.language for unit in units] == ["bash", "python", "python"]
    assert units[1].defines == ("x",)
    (unit,) = load_notebook(HERE, book(code("f <- 1"), kernelspec={"language": "R"}))
    assert (unit.language, unit.defines) == ("r", ())


def test_outputs_in_every_form():
    outputs = [
        stream("10%\r50%\r100%\n"),
        stream("\x1b[31mred\x1b[0m\n", "stderr"),
        shown(**{"image/png": "aGk=", "text/plain": "<Figure size 640x480 with 1 Axes>"}),
        shown(**{"text/html": "<table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>2</td></tr></table>"}),
        shown(**{"text/html": "<b>x</b>", "text/plain": "<IPython.core.display.HTML object>"}),
        shown(**{"text/plain": ["   a\n", "0  1"], "text/html": "<table></table>"}),
        {
            "output_type": "error",
            "ename": "KeyError",
            "evalue": "'level'",
            "traceback": ["\x1b[0;31m" + "-" * 60, "File x\n----> 3 df['level']", "KeyError: 'level'"],
        },
    ]
    assert list(rendered(outputs).lines) == [
        "100%",
        "red",
        "[image/png] <Figure size 640x480 with 1 Axes>",
        "a | b",
        "1 | 2",
        "x",
        "   a",
        "0  1",
        "KeyError: 'level'",
        "File x",
        "----> 3 df['level']",
    ]


def test_alt_text_of_a_picture_is_kept():
    output = {**shown(**{"image/svg+xml": "<svg/>"}), "metadata": {"image/svg+xml": {"alt": "level over time"}}}
    assert list(rendered([output]).lines) == ["[image/svg+xml] level over time"]


def test_a_picture_is_told_by_the_code_that_drew_it():
    figure = shown(**{"image/png": "aGk=", "text/plain": "<Figure size 640x480 with 1 Axes>"})
    (unit,) = load_notebook(HERE, book(code('level.plot(title="Level over time")\nplt.ylabel("m")', [figure], 1)))
    assert unit.text.split("\n")[-1] == "[image/png] Level over time; m"
    assert unit.cell.shows == "image"
    with_alt = {**figure, "metadata": {"alt": "a falling line"}}
    assert list(rendered([with_alt], "Level over time").lines) == ["[image/png] a falling line"]


def failure(name="KeyError"):
    return {"output_type": "error", "ename": name, "evalue": "'x'", "traceback": []}


@pytest.mark.parametrize(
    ("outputs", "what"),
    [
        ([], ""),
        ([stream("\n")], ""),
        ([{"output_type": "unheard of"}], ""),
        ([stream("3\n")], "text"),
        ([stream("3\n"), shown(**{"image/png": "aGk="})], "image"),
        ([shown(**{"image/png": "aGk="}), failure()], "error"),
    ],
)
def test_a_cell_says_what_it_shows(outputs, what):
    assert rendered(outputs).kind == what


def test_a_stale_output_is_marked_where_it_stands():
    late, early = code("limit = 3", count=9), code("print(limit)", [stream("2\n")], 4)
    first, second = load_notebook(HERE, book(prose("# A"), late, early))[1:]
    assert first.context == ("A",)
    assert second.context == ("A", "stale output: limit was set again later, by In [9]")


def test_of_a_long_cell_only_the_output_is_stale():
    lines = "\n".join(f"print(limit, {n})  # {'-' * 60}" for n in range(40))
    early = code(lines, [stream("2\n")], 4)
    _, source, output = load_notebook(HERE, book(code("limit = 3", count=9), early))
    assert source.context == ()
    assert output.context[0] == "stale output: limit was set again later, by In [9]"


def test_long_outputs_say_what_was_left_out():
    lines = rendered([stream("".join(f"{i}\n" for i in range(500)) + "x" * 5_000)]).lines
    stated = [line for line in lines if "left out" in line]
    assert stated == ["[… 442 lines left out …]", f"{'x' * 250} [… 4,500 characters left out …] {'x' * 250}"]
    assert (lines[0], lines[-2]) == ("0", "499")
    assert len(lines) == MOST_LINES


@pytest.mark.parametrize("outputs", [None, 3, [None], [{}], [{"output_type": "display_data", "data": 3}], [{"x": []}]])
def test_odd_outputs_are_passed_over(outputs):
    assert list(rendered(outputs).lines) == []


@pytest.mark.parametrize(
    ("source", "defines", "uses"),
    [
        ("import numpy as np\nx = np.arange(3)", ("np", "x"), ()),
        ("df = df.dropna()", ("df",), ("df",)),
        ("def f(a, b=c):\n    d = a\n    return d + e", ("f",), ("c", "e")),
        ("class A(Base):\n    y = 1\n    def m(self): return y2", ("A",), ("Base", "y2")),
        ("total = sum(v for v in values)", ("total",), ("values",)),
        ("for i in rows:\n    print(i)", ("i",), ("rows",)),
        ("with open(p) as f:\n    f.read()", ("f",), ("p",)),
        ("n += 1", ("n",), ("n",)),
        ("%matplotlib inline\n!ls\nfiles = !ls *.csv\nx = 1\nx?", ("files", "x"), ()),
        ("if True:\n    %time go()\ny = 2", ("y",), ()),
        ("from a import *\nimport os.path", ("os",), ()),
        ("def broken(:", (), ()),
        ("await go()", (), ("go",)),
        ('path = "\\d"', ("path",), ()),
        ("f = lambda q: q + r", ("f",), ("r",)),
        ("try:\n    go()\nexcept ValueError as error:\n    print(error)", ("error",), ("error", "go")),
    ],
)
def test_names(source, defines, uses):
    assert names(source) == (defines, uses)


@given(
    sources=st.lists(st.text(alphabet="ab =\n#%!()'", max_size=60), min_size=1, max_size=6),
    outputs=st.lists(st.text(max_size=80), max_size=3),
)
def test_any_cells_are_read(sources, outputs):
    cells = [code(source, [stream(text) for text in outputs], 1, id=f"c{i}") for i, source in enumerate(sources)]
    for passage in read_passages(HERE, "a.ipynb", book(*cells)):
        source_rows = sources[passage.cell.index].removesuffix("\n").split("\n")
        first = passage.text.split("\n")[0]
        if passage.start_line <= len(source_rows):
            assert first == source_rows[passage.start_line - 1]
        assert passage.text.encode()


def test_what_nbformat_writes_is_read():
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# A"), nbformat.v4.new_code_cell("x")])
    units = load_notebook(HERE, nbformat.writes(notebook).encode())
    assert [unit.cell.id for unit in units] == [cell["id"] for cell in notebook["cells"]]


@pytest.mark.parametrize(
    ("source", "kept"),
    [
        ("%ask why does it fail?", False),
        ("%%ask --root .\nwhy does it fail?", False),
        ("%%teach --name lab\nWhy?\n\nBecause.", False),
        ("import lorebook\nlorebook.ask('why?')", False),
        ("answer = ask(question)", True),
        ("# lorebook is asked below\nx = 1", True),
    ],
)
def test_cells_that_ask_lorebook_are_no_sources(source, kept):
    units = load_notebook(HERE, book(code(source, [stream("It fails because of 5.")])))
    assert bool(units) == kept
