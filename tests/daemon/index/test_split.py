import random
import sqlite3
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lorebook_api.errors import BadRequest
from lorebook_api.splitting import STRUCTURE, Splitting, parse_splitting
from lorebook_daemon.index.loaders import LOADERS, loader_for
from lorebook_daemon.index.passage import Passage, Unit, Unreadable
from lorebook_daemon.index.split import SPLITTERS, read_passages, split
from lorebook_daemon.index.split_lines import USUAL, Sizes

MODULE = '''"""About this module."""

import os

LIMIT = 3


# What a shape is.
@decorated
class Shape:
    """A shape that has an area and an edge.

    Both are counted in the units of the sheet that the shape was drawn on, however often that sheet is scaled
    afterwards, because drawings are compared across projects.
    """

    def area(self):
        return 0

    # The edge of it.
    def edge(self):
{body}

    def last(self):
        return 1


def free(x):
    return x
'''.replace("{body}", "\n".join(f"        total_{i} = compute_something_long({i}, {i})" for i in range(60)))


def rows_of(text: str) -> list[str]:
    return text.replace("\r\n", "\n").removesuffix("\n").split("\n")


def assert_covers(text: str, passages: list[Passage]) -> None:
    """Every line is in exactly one passage but blank ones at the edges, and every passage is those very lines."""
    rows = rows_of(text)
    taken = 0
    for passage in passages:
        assert passage.start_line > taken
        assert not "".join(rows[taken : passage.start_line - 1]).strip()
        assert passage.text == "\n".join(rows[passage.start_line - 1 : passage.end_line])
        assert rows[passage.start_line - 1].strip()
        assert rows[passage.end_line - 1].strip()
        taken = passage.end_line
    assert not "".join(rows[taken:]).strip()


def read(name: str, text: str) -> list[Passage]:
    return read_passages(Path(name), name, text.encode())


def test_code_keeps_comments_and_decorators_with_what_follows():
    passages = read("shape.py", MODULE)
    assert_covers(MODULE, passages)
    assert max(len(passage.text) for passage in passages) <= USUAL.long
    shape = next(passage for passage in passages if "Shape" in passage.defines)
    assert shape.text.startswith("# What a shape is.\n@decorated\nclass Shape:")
    edge = next(passage for passage in passages if "edge" in passage.defines)
    assert edge.text.startswith("    # The edge of it.\n    def edge(self):")
    assert edge.context == ("class Shape:",)


def test_code_names_the_lines_around_and_what_it_defines():
    passages = read("shape.py", MODULE)
    inside = next(passage for passage in passages if "total_59" in passage.text)
    assert inside.context == ("class Shape:", "def edge(self):")
    assert [name for passage in passages for name in passage.defines] == [
        "LIMIT",
        "Shape",
        "area",
        "edge",
        "last",
        "free",
    ]
    assert {passage.kind for passage in passages} == {"code"}
    assert {passage.language for passage in passages} == {"python"}


@pytest.mark.parametrize(
    ("name", "text", "defines"),
    [
        ("a.rs", "struct A { x: i32 }\nimpl A {\n    fn go(&self) {}\n}\nconst K: i32 = 4;\n", ("A", "go", "K")),
        ("a.go", "package a\nconst Pi = 3\ntype T struct { a int }\nfunc (t T) Go() {}\n", ("Pi", "T", "Go")),
        ("a.ts", "export const k = 1;\nclass B { m(): void {} }\ninterface I { a: string }\n", ("k", "B", "m", "I")),
        ("a.js", "const one = 1\nfunction foo() { const inner = 1 }\n", ("one", "foo")),
        ("a.c", "#define MAX 3\nstruct p { int x; };\nstatic char *name(int a) { return 0; }\n", ("MAX", "p", "name")),
        ("a.rb", "X = 3\nmodule M\n  class C\n    def d; end\n  end\nend\n", ("X", "M", "C", "d")),
        ("A.java", "public class A { void m(int p) {} }\n", ("A", "m")),
        ("a.sql", "CREATE TABLE customers (id INTEGER);\nSELECT 1;\n", ("customers",)),
        ("run.sh", "go() { echo hi; }\ngo\n", ("go",)),
    ],
)
def test_defines_in_other_languages(name, text, defines):
    (passage,) = read(name, text)
    assert passage.defines == defines
    assert passage.kind == "code"


def test_a_long_class_opens_a_passage_of_its_own():
    small = "\n".join(f"def small_{i}():\n    return {i}\n" for i in range(12))
    passages = read("two.py", f"{small}\n{MODULE}")
    assert any(passage.text.startswith("# What a shape is.") for passage in passages)


def test_json_is_split_along_its_keys_at_true_lines():
    entries = ",\n".join(f'    "key_{i}": "{"v" * 60}"' for i in range(50))
    text = f'{{\n  "name": "x",\n  "deep": {{\n{entries}\n  }}\n}}\n'
    passages = read("big.json", text)
    assert_covers(text, passages)
    assert len(passages) > 2
    assert passages[-1].context == ('"deep": {',)
    assert {passage.kind for passage in passages} == {"data"}


def test_a_fenced_block_stays_whole():
    fence = "```python\n" + "\n\n".join(f"x{i} = {i}" for i in range(30)) + "\n```"
    text = f"# A\n\n{'words ' * 120}\n\n{fence}\n\nafter\n"
    passages = read("a.md", text)
    assert_covers(text, passages)
    assert any(fence in passage.text for passage in passages)


def test_a_heading_is_not_left_alone():
    text = f"# A\n\n{'long words ' * 100}\n\n## B\n\nshort\n"
    passages = read("a.md", text)
    assert passages[0].text.startswith("# A\n\nlong")
    assert [passage.context for passage in passages] == [("A",), ("A", "B")]


def test_crlf_is_kept_out_of_the_text():
    text = "def a():\r\n    return 1\r\n\r\nb = 2\r\n"
    (passage,) = read("a.py", text)
    assert passage.text == "def a():\n    return 1\n\nb = 2"
    assert (passage.start_line, passage.end_line) == (1, 4)


def test_what_is_no_such_language_is_split_by_lines():
    text = "\n\n".join(f"((( not {{ python ]]] {i} " * 8 for i in range(30))
    passages = read("a.py", text)
    assert_covers(text, passages)
    assert max(len(passage.text) for passage in passages) <= USUAL.long


def test_deeply_nested_code_does_not_fail():
    text = "x = " + "(" * 3_000 + "\n" + "1 +\n" * 2_000 + "1" + ")" * 3_000 + "\n"
    assert_covers(text, read("a.py", text))


def test_a_unit_is_split_by_what_it_is():
    assert set(SPLITTERS) == {"cell", "code", "prose", "data"}
    (passage,) = split(Unit("a,b\n1,2", "data", start_line=5, context=("t",)), "x/a.csv")
    assert (passage.path, passage.start_line, passage.end_line, passage.context) == ("x/a.csv", 5, 6, ("t",))


@pytest.mark.parametrize("limit", [100, 1_000, 20_000])
def test_limits_are_in_order(limit):
    sizes = Sizes(limit)
    assert sizes.scrap < sizes.limit < sizes.long < sizes.cell


def test_a_splitter_may_be_spelled():
    assert parse_splitting("structure") == STRUCTURE == Splitting("structure", 1_000)
    assert parse_splitting("lines") == Splitting("lines", 1_000)
    assert parse_splitting("structure:500") == Splitting("structure", 500)


@pytest.mark.parametrize("text", ["", "words", "lines:", "lines:x", "lines:-5", "lines:20", "lines:99999", "lines:1.5"])
def test_what_is_no_splitter_is_refused(text):
    with pytest.raises(BadRequest, match="splitter") as caught:
        parse_splitting(text)
    assert "structure:500" in caught.value.hint


def test_lines_are_cut_whatever_stands_in_them():
    small, large = (read_passages(Path("m.py"), "m.py", MODULE.encode(), Splitting("lines", n)) for n in (300, 900))
    for passages in (small, large):
        assert_covers(MODULE, passages)
    assert len(small) > len(large) > 1
    assert max(len(passage.text) for passage in small) <= 300 + 60
    by_structure = read_passages(Path("m.py"), "m.py", MODULE.encode(), Splitting("structure", 300))
    assert_covers(MODULE, by_structure)
    assert any(passage.text.lstrip().startswith("# The edge of it.") for passage in by_structure)
    assert not any(passage.text.lstrip().startswith("# The edge of it.") for passage in small)


def test_files_without_a_loader_are_refused(tmp_path):
    with pytest.raises(Unreadable, match="no loader"):
        read_passages(tmp_path / "a.xyz", "a.xyz")


def test_files_that_cannot_be_opened_are_refused(tmp_path):
    with pytest.raises(Unreadable, match="cannot be read"):
        read_passages(tmp_path / "gone.py", "gone.py")
    (tmp_path / "folder.py").mkdir()
    with pytest.raises(Unreadable, match="cannot be read"):
        read_passages(tmp_path / "folder.py", "folder.py")


@pytest.mark.parametrize("name", ["a.py", "a.md", "a.csv", "a.json", "a.txt", "a.html", "a.sqlite", "a.rst"])
def test_an_empty_file_has_no_passages(name):
    assert read(name, "") == []


@pytest.mark.parametrize("name", ["a.py", "a.md", "a.txt", "a.csv", "a.json", "a.html"])
def test_binary_is_refused(name):
    with pytest.raises(Unreadable, match="binary"):
        read_passages(Path(name), name, b"\x7fELF\x00\x00\x01" * 40)


def test_minified_files_are_refused():
    with pytest.raises(Unreadable, match="minified or generated: a line of 60,0"):
        read("a.js", "var a=1;" * 7_500 + "\n//# end\n")


def damaged(rng: random.Random, data: bytes) -> bytes:
    parts = bytearray(data[: rng.randrange(1, len(data))])
    for _ in range(rng.randrange(1, 20)):
        parts[rng.randrange(len(parts))] = rng.randrange(256)
    return bytes(parts)


def test_a_damaged_file_raises_nothing_but_unreadable(tmp_path):
    rng = random.Random(7)
    whole = {
        "a.ipynb": b'{"cells":[{"cell_type":"code","source":["x=1\\n"],"outputs":[{"output_type":"stream",'
        b'"text":"hi"}]}],"metadata":{},"nbformat":4,"nbformat_minor":5}',
        "a.html": b"<h1>T</h1><table><tr><td>a<td>b</tr></table><p>x<br>y",
        "a.csv": b'a,b\n1,"x\ny"\n2,z\n',
        "a.md": b"---\nt: 1\n---\n# A\n\n- b\n\n```\nc\n",
        "a.yaml": b"a: &x\n  - b\nc: *x\n",
    }
    base = tmp_path / "whole.sqlite"
    with sqlite3.connect(base) as database:
        database.execute("CREATE TABLE t (a, b)")
        database.executemany("INSERT INTO t VALUES (?, ?)", [(i, "x" * i) for i in range(200)])
    database.close()
    whole["a.sqlite"] = base.read_bytes()
    for name, data in whole.items():
        for _ in range(40):
            file = tmp_path / name
            file.write_bytes(damaged(rng, data))
            try:
                read_passages(file, name)
            except Unreadable as error:
                assert str(error)


@pytest.mark.parametrize("name", sorted(LOADERS))
def test_every_loader_refuses_or_reads_noise(name, tmp_path):
    file = tmp_path / (f"a{name}" if name.startswith(".") else name)
    assert loader_for(file) is LOADERS[name]
    file.write_bytes(bytes(range(256)) * 4)
    with pytest.raises(Unreadable):
        read_passages(file, file.name)


LINE = st.sampled_from(
    [
        *(
            "",
            "   ",
            "\f",
            "x = 1",
            "def f(a):",
            "    return a",
            "class A:",
            "    # note",
            "@decorator",
            '"""',
            "    y = (",
        ),
        *("# Title", "=====", "```", "~~~", "- item", "words " * 60, "ü ñ 日本"),
        *("fn go() {", "}", ")", '{"a": [', "a: b"),
    ]
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    name=st.sampled_from(["a.py", "a.md", "a.rst", "a.txt", "a.js", "a.rs", "a.yaml", "a.json", "a.jsonl", "a.toml"]),
    lines=st.lists(LINE, max_size=120),
    ending=st.sampled_from(["\n", "\r\n"]),
    splitting=st.sampled_from([STRUCTURE, Splitting("structure", 400), Splitting("lines", 500)]),
)
def test_passages_are_the_lines_of_the_file(name, lines, ending, splitting):
    text = ending.join(lines)
    passages = read_passages(Path(name), name, text.encode(), splitting)
    assert_covers(text, passages)
    assert all(len(passage.text) <= Sizes(splitting.characters).long for passage in passages)


@settings(max_examples=100, deadline=None)
@given(text=st.text(max_size=400), name=st.sampled_from(["a.py", "a.md", "a.rst", "a.txt", "a.ini", "a.c"]))
def test_any_text_is_covered(text, name):
    data = text.encode("utf-8", "replace")
    try:
        passages = read_passages(Path(name), name, data)
    except Unreadable as error:
        assert str(error) == "binary"
        return
    assert_covers(data.decode(), passages)
