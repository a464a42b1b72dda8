import io
import os
import random
import re
import subprocess
import sys
import time
import zipfile
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet
import pytest

import fake_documents
from lorebook_daemon.index.bounds import Bounds
from lorebook_daemon.index.loaders import LOADERS, apart, child
from lorebook_daemon.index.loaders.apart import Apart, Child
from lorebook_daemon.index.passage import Cell, Unit, Unreadable
from lorebook_daemon.index.split import read_passages

APART = sorted({loader for loader in LOADERS.values() if isinstance(loader, Apart)}, key=str)
CELL = Cell("c1", 3, "code", 7)
UNITS = [Unit("text", "doc", "", 7, ("a", "b"), ("c",), ("d",)), Unit("é\n", "data"), Unit("x", "notebook", cell=CELL)]


def echo(path, data):
    """Stand in for a loader."""
    match data:
        case b"units":
            sys.stdout.write("written by a library")
            return UNITS
        case b"refuse":
            raise Unreadable("for a reason")
        case b"fail":
            raise KeyError("x")
        case b"crash":
            os._exit(11)
        case b"hang":
            time.sleep(60)
        case b"eat":
            held = bytearray(200_000_000)
            time.sleep(60)
            return [Unit(str(len(held)), "doc")]
    return [Unit(f"{path.name} {len(data)}", "doc")]


@pytest.fixture
def bounded(monkeypatch):
    """Return what loads by `echo`, in a child with tight bounds."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)]))
    made = Child(Bounds(seconds=4, megabytes=180, look_s=0.05))
    yield lambda data: made.load("test_apart:echo", Path("a.x"), data)
    made.close()


def test_units_come_back_as_they_were(bounded):
    assert bounded(b"units") == UNITS
    assert bounded(b"x" * 3_000_000) == [Unit("a.x 3000000", "doc")]


def test_reasons_come_back(bounded):
    with pytest.raises(Unreadable, match="for a reason"):
        bounded(b"refuse")
    with pytest.raises(Unreadable, match="damaged: KeyError"):
        bounded(b"fail")


@pytest.mark.parametrize(("data", "why"), [(b"crash", "crashed"), (b"hang", "after 4 s"), (b"eat", "than 180 MB")])
def test_what_brings_the_child_down_is_refused_and_the_next_file_is_read(bounded, data, why):
    with pytest.raises(Unreadable, match=why):
        bounded(data)
    assert bounded(b"units") == UNITS


def test_text_beyond_bounds_is_left_out_and_counted(monkeypatch):
    monkeypatch.setattr(child, "MOST_TEXT", 10)
    units = [Unit("12345", "doc", context=("page",))] * 3
    assert child.bounded(units[:2]) == units[:2]
    kept = child.bounded(units)
    assert [unit.context for unit in kept] == [
        ("page",),
        ("page", "the first 2 of 3 parts, the others being beyond 10 characters"),
    ]
    (cut,) = child.bounded([Unit("1\n2\n3\n4\n5\n6\n7", "doc")])
    assert (cut.text, cut.context) == ("1\n2\n3\n4\n5", ("the first 5 of 7 lines",))
    with pytest.raises(Unreadable, match="without any division"):
        child.bounded([Unit("1" * 11, "doc")])


def test_every_loader_that_runs_apart_is_there():
    assert len(APART) > 10
    assert all(callable(getattr(import_module(f"{apart.__package__}.{one.module}"), one.load)) for one in APART)


def test_nothing_of_them_is_loaded_before_such_a_file_comes():
    script = "import sys, lorebook_daemon.index.split; print([m for m in sys.argv[1:] if m in sys.modules])"
    names = [f"{apart.__package__}.{one.module}" for one in APART if one.module != "html"]  # notebooks show HTML
    names += ["pypdf", "openpyxl", "pyarrow", "duckdb", "defusedxml", "plistlib", "bs4", "nbformat"]
    done = subprocess.run([sys.executable, "-c", script, *names], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def workbook():
    book = openpyxl.Workbook()
    for row in range(30):
        book.active.append([f"row {row}", row])
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def parquet():
    out = io.BytesIO()
    pyarrow.parquet.write_table(pa.table({"a": range(50), "b": ["x"] * 50}), out)
    return out.getvalue()


SHEET = (
    '<office:spreadsheet><table:table table:name="S"><table:table-row table:number-rows-repeated="3">'
    '<table:table-cell table:number-columns-repeated="2"><text:p>1</text:p></table:table-cell>'
    "</table:table-row></table:table></office:spreadsheet>"
)


@pytest.fixture(scope="module")
def whole():
    """Return a whole document of each kind."""
    slide = fake_documents.shape("Hello", "title")
    return {
        "a.docx": fake_documents.docx(fake_documents.paragraph("Head", "T") + fake_documents.paragraph("words")),
        "a.pptx": fake_documents.pptx(slide, slide, notes="note"),
        "a.xlsx": workbook(),
        "a.odt": fake_documents.odf("<office:text><text:p>words</text:p></office:text>"),
        "a.ods": fake_documents.odf(SHEET),
        "a.epub": fake_documents.epub({"a.xhtml": "<h1>A</h1><p>words</p>"}),
        "a.eml": b"Subject: =?utf-8?q?x?=\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nwords\n--b--\n",
        "a.mbox": b"From a\nSubject: one\n\nwords\n\nFrom b\nTo: x@y\n\nmore\n",
        "a.mhtml": b"Content-Type: text/html; charset=utf-8\n\n<p>words</p>",
        "a.parquet": parquet(),
        "a.srt": b"1\n00:00:01,000 --> 00:00:02,000\nwords\n",
        "a.tex": b"\\section{One}\nwords\n",
    }


def test_whole_documents_are_read(whole):
    for name, data in whole.items():
        assert read_passages(Path(name), name, data), name


def inner_damage(rng, data):
    """Return a zip archive with one of its parts damaged, the archive itself whole."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice(sorted(parts))
    pieces = re.findall(rb"<[^>]*>|[^<]+", parts[name])
    if pieces:
        place = rng.randrange(len(pieces))
        pieces[place] = rng.choice([b"", b"<x>", pieces[place] * 3, b"&#0;", rng.choice(pieces), b"999999999999"])
        other = rng.randrange(len(pieces))
        pieces[other] = re.sub(rb'"[^"]*"', rng.choice([b'"-1"', b'""', b'"99999999999999999999"']), pieces[other])
    return fake_documents.zipped({**parts, name: b"".join(pieces)})


def test_damage_within_a_documents_parts_raises_nothing_but_unreadable(whole):
    rng = random.Random(5)
    for name in ("a.docx", "a.pptx", "a.xlsx", "a.odt", "a.ods", "a.epub"):
        for _ in range(60):
            with suppress(Unreadable):
                read_passages(Path(name), name, inner_damage(rng, whole[name]))


def test_a_damaged_document_raises_nothing_but_unreadable_and_takes_no_time(whole):
    rng = random.Random(11)
    began = time.monotonic()
    for name, data in whole.items():
        for _ in range(25):
            parts = bytearray(data[: rng.randrange(len(data) // 2, len(data) + 1)])
            for _ in range(rng.randrange(4)):
                parts[rng.randrange(len(parts))] = rng.randrange(256)
            try:
                read_passages(Path(name), name, bytes(parts))
            except Unreadable as error:
                assert str(error)
    assert time.monotonic() - began < 60
