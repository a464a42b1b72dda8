import re
import sqlite3
from pathlib import Path

import pytest

from lorebook_daemon.index.loaders import LOADERS, loader_for
from lorebook_daemon.index.loaders.encoding import decode
from lorebook_daemon.index.loaders.html import extract, load_html
from lorebook_daemon.index.loaders.markdown import headings as markdown_headings
from lorebook_daemon.index.loaders.rst import headings as rst_headings
from lorebook_daemon.index.loaders.sqlite import load_sqlite
from lorebook_daemon.index.loaders.structured import LARGEST, load_structured
from lorebook_daemon.index.loaders.table import SAMPLE_ROWS, load_table
from lorebook_daemon.index.passage import Unreadable
from lorebook_daemon.index.split import read_passages

DOCS = Path(__file__).parents[4] / "docs" / "files.md"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.py", "code"),
        ("Makefile", "code"),
        ("DOCKERFILE", "code"),
        ("query.SQL", "code"),
        ("README", "doc"),
        ("a.md", "doc"),
        ("a.rst", "doc"),
        ("a.tex", "doc"),
        ("a.txt", "doc"),
        ("a.json", "data"),
        ("a.jsonl", "data"),
        ("a.yml", "data"),
        ("pyproject.toml", "data"),
        ("a.csv", "data"),
    ],
)
def test_a_file_is_of_the_kind_that_its_name_says(name, kind):
    (passage,) = read_passages(Path(name), name, b"alpha = beta\n")
    assert (passage.kind, passage.text) == (kind, "alpha = beta")


@pytest.mark.parametrize("name", ["a.exe", "noext", ".env", "a.so", "a"])
def test_other_files_have_no_loader(name):
    assert loader_for(Path(name)) is None


def test_every_name_that_has_a_loader_stands_in_the_table_of_files():
    told = set(re.findall(r"[\w.+]+", DOCS.read_text(encoding="utf-8")))
    assert sorted(set(LOADERS) - told) == []


def test_names_of_loaders_are_lower_case():
    assert all(name == name.lower() for name in LOADERS)


@pytest.mark.parametrize(
    "data",
    [
        "Grüße\nZeile".encode(),
        "Grüße\nZeile".encode("utf-8-sig"),
        "Grüße\nZeile".encode("utf-16"),
        b"\xfe\xff" + "Grüße\nZeile".encode("utf-16-be"),
        "Grüße\nZeile".encode("utf-32"),
        "Grüße\r\nZeile\r\n".encode(),
    ],
)
def test_encodings(data):
    assert decode(data) == "Grüße\nZeile"


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Les élèves ont été reçus à la fête. L'été dernier, la forêt était déjà très sèche.", "latin-1"),
        ("Die Größe über alles, schöne Grüße an Jörg. # naïve", "cp1252"),
        ("# café\nx = 1", "latin-1"),
        ("Привет, это обычный русский текст о скважинах и уровне воды.", "cp1251"),
        ("日本語のテキストです。井戸の水位を測ります。\n" * 4 + "終", "shift_jis"),
    ],
)
def test_an_old_encoding_is_found_out(text, encoding):
    assert decode(text.encode(encoding)) == text


def test_markdown_headings():
    text = "---\ntitle: x\n---\n# A #\n\nB\n===\n\n> # quoted\n\n```\n# code\n```\n\n### `C` *d*\n\n#\n"
    assert [(h.row, h.stop, h.level, h.title) for h in markdown_headings(text)] == [
        (3, 4, 1, "A"),
        (5, 7, 1, "B"),
        (14, 15, 3, "`C` *d*"),
    ]


def test_rst_headings():
    text = (
        "=====\nTitle\n=====\n\nPart\n====\n\ntext::\n\n    Not\n    ---\n\nSub\n---\n\n=====  ====\na      b\n"
        "=====  ====\n\nNext\n====\n\nshort\n--\n"
    )
    assert [(h.row, h.level, h.title) for h in rst_headings(text.split("\n"))] == [
        (0, 1, "Title"),
        (4, 2, "Part"),
        (12, 3, "Sub"),
        (19, 2, "Next"),
    ]


def test_html_is_read_as_a_browser_shows_it():
    page = b"""<!doctype html><html><head><title>The <b>page</b></title><style>p {}</style></head>
    <body><h1>One
    two</h1><p>Some <b>bold</b>
    text<br>and a line.<!-- no --></p><script>evil()</script>
    <ul><li>a</li><li>b</li></ul>
    <table><tr><th>x</th><th>y</th></tr><tr><td>1</td><td><i>2</i></td></tr></table>
    <pre>def f():
    return 1</pre></body></html>"""
    assert [line.text for line in extract(page)] == [
        "The page",
        "One two",
        "Some bold text",
        "and a line.",
        "a",
        "b",
        "x | y",
        "1 | 2",
        "def f():",
        "    return 1",
    ]
    assert [line.level for line in extract(page)][:3] == [0, 1, 0]


def test_html_sections_have_their_headings():
    body = "word " * 60
    units = load_html(Path("a.html"), f"<h1>A</h1><p>{body}</p><h2>B</h2><p>{body}</p>".encode())
    assert [(unit.context, unit.start_line) for unit in units] == [(("A",), 1), (("A", "B"), 3)]


def test_html_nested_very_deep_is_read():
    assert extract(b"<div>" * 5_000 + b"deep" + b"</div>" * 5_000)[0].text == "deep"


def test_a_small_table_is_whole_under_its_summary():
    data = b'city;pop;since\n"Berlin";3,5;2020-01-02\nBonn;;2021-03-04\n"New\nYork";8;2019-01-01\n'
    (unit,) = load_table(Path("a.csv"), data)
    assert unit.text == data.decode().removesuffix("\n")
    assert unit.context == (
        "table of 3 rows",
        "columns: city (text: Berlin, Bonn, New\nYork), pop (text: 3,5, 8, 1 missing), "
        "since (date, 2019-01-01 to 2021-03-04)",
    )


def test_of_a_long_table_the_first_rows_are_shown_at_their_lines():
    rows = ["id,note", *(f'{i},"two\nlines"' for i in range(500))]
    text = "\n".join(rows) + "\n"
    passages = read_passages(Path("a.csv"), "a.csv", text.encode())
    lines = text.split("\n")
    assert passages[-1].end_line == 1 + 2 * SAMPLE_ROWS
    assert all(p.text == "\n".join(lines[p.start_line - 1 : p.end_line]) for p in passages)
    assert passages[0].context == (
        f"table of 500 rows, the first {SAMPLE_ROWS} shown",
        "columns: id (number, 0 to 499), note (text: two\nlines)",
    )


def test_a_table_without_names_numbers_its_columns():
    (unit,) = load_table(Path("a.tsv"), b"1\t2\n3\t4\n")
    assert unit.context == ("table of 2 rows", "columns: column 1 (number, 1 to 3), column 2 (number, 2 to 4)")


def test_what_is_no_table_is_taken_as_lines():
    (unit,) = load_table(Path("a.csv"), b'a,b\n"' + b"x" * 200_000 + b"\n")
    assert unit.context[0].startswith("not readable as a table: field larger")


def test_records_are_counted():
    (unit,) = load_structured(Path("a.json"), b'[{"a": 1, "b": 2},\n {"a": 3, "c": 4}]')
    assert (unit.context, unit.language) == (("2 records with a, b, c",), "json")
    (unit,) = load_structured(Path("a.jsonl"), b'{"a": 1}\n{"b": 2}\n')
    assert (unit.context, unit.language) == (("2 records with a, b",), "")
    (unit,) = load_structured(Path("a.jsonl"), b'{"a": 1}\n{broken\n')
    assert unit.context == ()


def test_of_large_data_the_start_is_indexed_and_said():
    line = '{"a": "' + "x" * 90 + '"}\n'
    (unit,) = load_structured(Path("a.jsonl"), (line * 10_000).encode())
    assert len(unit.text) <= LARGEST
    assert unit.context[1] == f"the first {len(unit.text.splitlines()):,} of 10,000 lines"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    file = tmp_path / "odd name?#.sqlite"
    connection = sqlite3.connect(file)
    with connection:
        connection.execute("CREATE TABLE wells (\n  id INTEGER PRIMARY KEY,\n  name TEXT\n)")
        connection.executemany("INSERT INTO wells (name) VALUES (?)", [(f"well {i}",) for i in range(300)])
        connection.execute('CREATE TABLE "odd ""table" (a, b BLOB)')
        connection.execute('INSERT INTO "odd ""table" VALUES (NULL, x\'0001\')')
        connection.execute("CREATE VIEW names AS SELECT name FROM wells")
        connection.execute("CREATE VIRTUAL TABLE words USING fts5(body)")
    connection.close()
    return file


def test_sqlite_tables_are_units(database):
    before = {file: file.stat().st_mtime_ns for file in database.parent.iterdir()}
    units = {unit.defines[0]: unit for unit in load_sqlite(database, database.read_bytes())}
    wells = units["wells"]
    assert wells.text.startswith(
        "CREATE TABLE wells (\n  id INTEGER PRIMARY KEY,\n  name TEXT\n);\nid | name\n1 | well 0\n"
    )
    assert wells.context[0] == "table wells, 300 rows, the first 20 shown"
    assert wells.context[1].startswith("columns: id (number, 1 to 300), name (text: well 0, ")
    odd = units['odd "table']
    assert odd.text.endswith("a | b\n | [2 bytes]")
    assert odd.start_line == wells.text.count("\n") + 2
    assert units["names"].text == "CREATE VIEW names AS SELECT name FROM wells;"
    assert units["words"].text == "CREATE VIRTUAL TABLE words USING fts5(body);"
    assert {file: file.stat().st_mtime_ns for file in database.parent.iterdir()} == before


def test_a_database_in_wal_mode_is_read_and_left_alone(tmp_path):
    file = tmp_path / "wal.db"
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE t (a)")
    connection.commit()
    connection.close()
    (unit,) = load_sqlite(file, file.read_bytes())
    assert unit.text == "CREATE TABLE t (a);"
    assert [one.name for one in tmp_path.glob("wal.db*")] == ["wal.db"]


@pytest.mark.parametrize(("data", "why"), [(b"hello", "not a SQLite"), (b"SQLite format 3\0" + b"x" * 600, "damaged")])
def test_what_is_no_database_is_refused(tmp_path, data, why):
    file = tmp_path / "a.db"
    file.write_bytes(data)
    with pytest.raises(Unreadable, match=why):
        load_sqlite(file, data)
