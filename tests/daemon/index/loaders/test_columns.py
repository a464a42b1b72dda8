from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.feather
import pyarrow.ipc
import pyarrow.parquet
import pytest

from lorebook_daemon.index.loaders import arrow
from lorebook_daemon.index.loaders.arrow import load_arrow, load_parquet
from lorebook_daemon.index.loaders.duckdb import load_duckdb
from lorebook_daemon.index.passage import Unreadable
from lorebook_daemon.index.split import read_passages


@pytest.fixture
def table():
    depth = pa.field("depth", pa.float64(), metadata={"description": "metres below ground"})
    schema = pa.schema([pa.field("id", pa.int64()), depth, pa.field("tags", pa.list_(pa.string()))])
    return pa.table([range(300), [None, *[i / 2 for i in range(299)]], [["a"]] * 300], schema=schema)


def write_parquet(table, file):
    pyarrow.parquet.write_table(table, file, row_group_size=100)


def write_stream(table, file):
    with pyarrow.ipc.new_stream(file, table.schema) as out:
        out.write_table(table, max_chunksize=70)


def write_feather(table, file):
    pyarrow.feather.write_feather(table, file, compression="zstd", chunksize=70)


@pytest.mark.parametrize(
    ("load", "write"), [(load_parquet, write_parquet), (load_arrow, write_stream), (load_arrow, write_feather)]
)
def test_columns_are_shown_with_their_schema(tmp_path, table, load, write):
    file = tmp_path / "a.bin"
    write(table, str(file))
    (unit,) = load(file, file.read_bytes())
    head = unit.text.split("\n")[:6]
    assert head[0] == "id: int64"
    assert head[1] == "depth: double -- metres below ground"
    assert head[2].startswith("tags: list<")
    assert head[3:] == ["", "id | depth | tags", "0 |  | ['a']"]
    assert unit.context == (
        "table, 300 rows, the first 20 shown",
        "columns: id (number, 0 to 299), depth (number, 0.0 to 149.0, 1 missing), tags (text: ['a'])",
    )
    assert unit.defines == ("id", "depth", "tags")


def test_of_many_columns_and_rows_the_first_are_looked_at(tmp_path, monkeypatch):
    monkeypatch.setattr(arrow, "MOST_SCANNED", 700)
    wide = pa.table({f"c{i}": range(1_200) for i in range(70)})
    for load, write in ((load_parquet, write_parquet), (load_arrow, write_stream), (load_arrow, write_feather)):
        file = tmp_path / "a"
        write(wide, str(file))
        (unit,) = load(file, file.read_bytes())
        assert unit.context[0] == "table, 1,200 rows, the first 20 shown"
        assert unit.context[1].startswith("columns (of the first 700 rows): c0 (number, 0 to 699), c1 (number, ")
        assert unit.context[1].endswith("; 10 more columns")
        assert "c69: int64" in unit.text


def test_a_column_name_that_stands_twice_is_no_fault(tmp_path):
    file = tmp_path / "a.arrow"
    write_stream(pa.table([[1], [2]], names=["a", "a"]), str(file))
    (unit,) = load_arrow(file, file.read_bytes())
    assert unit.text.endswith("a | a\n1 | 2")


@pytest.mark.parametrize("load", [load_parquet, load_arrow])
@pytest.mark.parametrize("data", [b"hello", b"PAR1" * 10, b"ARROW1\0\0" * 10, b"\xff\xff\xff\xff\x10\0\0\0"])
def test_what_is_no_such_file_is_refused(load, data):
    with pytest.raises(Unreadable, match="cannot be read"):
        load(Path("a"), data)
    assert load(Path("a"), b"") == []


@pytest.mark.parametrize("name", ["pyarrow", "duckdb"])
def test_where_a_library_is_missing_it_is_said_what_to_type(name, monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, name, None)
    load, data = (load_parquet, b"PAR1") if name == "pyarrow" else (load_duckdb, b"\0" * 8 + b"DUCK")
    with pytest.raises(Unreadable, match=r"pip install 'lorebook\[documents\]'"):
        load(tmp_path / "a", data)


@pytest.fixture
def database(tmp_path):
    file = tmp_path / "odd name #é.duckdb"
    with duckdb.connect(str(file)) as connection:
        connection.execute('CREATE TABLE "odd ""table" (id INTEGER, note VARCHAR, data BLOB)')
        connection.execute("INSERT INTO \"odd \"\"table\" SELECT i, 'n' || i, '\\x00'::BLOB FROM range(300) t(i)")
        connection.execute('COMMENT ON TABLE "odd ""table" IS \'What was measured\'')
        connection.execute('COMMENT ON COLUMN "odd ""table".note IS \'by hand\'')
        connection.execute("CREATE SCHEMA other")
        connection.execute("CREATE TABLE other.empty (a INTEGER)")
        connection.execute("CREATE VIEW spy AS SELECT * FROM read_text('/etc/passwd')")
    return file


def test_duckdb_tables_are_units_and_views_are_not_run(database):
    before = {file: file.stat().st_mtime_ns for file in database.parent.iterdir()}
    units = {unit.defines[0]: unit for unit in load_duckdb(database, database.read_bytes())}
    odd = units['odd "table']
    assert odd.text.startswith("-- What was measured\n-- note: by hand\nCREATE TABLE ")
    assert "\nid | note | data\n0 | n0 | [1 bytes]\n" in odd.text
    assert odd.context[0] == 'table odd "table, 300 rows, the first 20 shown'
    assert units["other.empty"].context == ("table other.empty, 0 rows", "columns: a (empty)")
    assert units["spy"].text == "CREATE VIEW spy AS SELECT * FROM read_text('/etc/passwd');"
    assert sorted(unit.start_line for unit in units.values())[0] == 1
    assert {file: file.stat().st_mtime_ns for file in database.parent.iterdir()} == before


def test_a_duckdb_database_is_known_by_its_content(database):
    file = database.rename(database.with_suffix(".db"))
    assert any("by hand" in passage.text for passage in read_passages(file, file.name))


def test_what_was_not_yet_taken_into_the_file_is_read_from_beside_it(tmp_path):
    file = tmp_path / "a.duckdb"
    connection = duckdb.connect(str(file))
    connection.execute("PRAGMA disable_checkpoint_on_shutdown")
    connection.execute("CREATE TABLE t (a INTEGER)")
    connection.close()
    before = {one.name: one.read_bytes() for one in tmp_path.glob("a.duckdb*")}
    assert len(before) == 2
    (unit,) = load_duckdb(file, file.read_bytes())
    assert unit.defines == ("t",)
    assert {one.name: one.read_bytes() for one in tmp_path.glob("a.duckdb*")} == before


@pytest.mark.parametrize(("data", "why"), [(b"hello", "not a DuckDB"), (b"\0" * 8 + b"DUCK" * 900, "cannot be read")])
def test_what_is_no_duckdb_database_is_refused(tmp_path, data, why):
    file = tmp_path / "a.duckdb"
    file.write_bytes(data)
    with pytest.raises(Unreadable, match=why):
        load_duckdb(file, data)
