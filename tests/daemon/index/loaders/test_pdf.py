import re
import shutil
import sys
from pathlib import Path

import pytest

from fake_documents import pdf, pdf_of, scanned_pdf, stream
from lorebook_daemon.index.bounds import Bounds
from lorebook_daemon.index.loaders import image, scans
from lorebook_daemon.index.loaders import pdf as reader
from lorebook_daemon.index.loaders.apart import Child
from lorebook_daemon.index.loaders.pdf import load_pdf
from lorebook_daemon.index.passage import Unreadable

FILE = Path("a.pdf")
LINES = ("Minutes of the meeting", "The spare key hangs behind the pump house door")


@pytest.fixture
def no_tesseract(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))


def scan():
    """Return a PDF that shows a picture of two lines of text."""
    drawn = "BT /F1 24 Tf 40 700 Td ({}) Tj 0 -60 Td ({}) Tj ET".format(*LINES)
    font = "<< /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >>"
    page = f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Resources {font} >>"
    pages = "<< /Type /Pages /Kids [3 0 R] /Count 1 >>"
    text = pdf_of("<< /Type /Catalog /Pages 2 0 R >>", pages, page, stream(drawn.encode()))
    picture = scans.drawn_page(text, 0)
    head = re.match(rb"P5 (\d+) (\d+) 255\n", picture)
    assert head
    return scanned_pdf(picture[head.end() :], int(head[1]), int(head[2]))


def test_pages_are_units():
    units = load_pdf(FILE, pdf("The first page", "Another one"))
    assert [(unit.text, unit.context, unit.start_line) for unit in units] == [
        ("The first page", ("page 1",), 1),
        ("Another one", ("page 2",), 2),
    ]


@pytest.mark.parametrize(("data", "why"), [(b"hello", "not a PDF"), (b"", "not a PDF"), (pdf(""), "without text")])
def test_a_pdf_without_text_is_refused(data, why):
    with pytest.raises(Unreadable, match=why):
        load_pdf(FILE, data)


def test_without_tesseract_it_is_said_what_scans_need(no_tesseract):
    with pytest.raises(Unreadable, match="scanned pages need tesseract-ocr"):
        load_pdf(FILE, pdf(""))


@pytest.mark.skipif(shutil.which(image.PROGRAM) is None, reason="Tesseract is not installed")
def test_a_scanned_page_is_read():
    (unit,) = load_pdf(FILE, scan())
    assert unit.context == ("page 1", "text in a picture")
    assert [line for line in unit.text.split("\n") if line] == list(LINES)


@pytest.mark.skipif(sys.platform == "win32", reason="a script is no program there")
def test_a_scan_that_cannot_be_read_costs_only_its_page(tmp_path, monkeypatch):
    program = tmp_path / image.PROGRAM
    program.write_text(f"#!{sys.executable}\nraise SystemExit(1)\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    units = load_pdf(FILE, pdf("", "Words"))
    assert [unit.context for unit in units] == [("page 2",)]


def test_when_the_time_is_up_the_rest_is_counted(monkeypatch):
    monkeypatch.setattr(reader, "SECONDS", -1.0)
    (unit,) = load_pdf(FILE, pdf("One", "Two", "Three"))
    assert unit.context == ("page 1", "the first 1 of 3 pages: reading took too long")


def looping():
    """Return PDFs in which something leads back to itself, by name."""
    catalog, leaf = "<< /Type /Catalog /Pages 2 0 R >>", "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] %s >>"
    pages = "<< /Type /Pages /Kids [3 0 R] /Count 1 >>"
    again = "/Resources << /XObject << /X 4 0 R >> >>"
    form = stream(b"/X Do", f"/Type /XObject /Subtype /Form /BBox [0 0 9 9] {again}")
    yield "kids", pdf_of(catalog, "<< /Type /Pages /Kids [2 0 R] /Count 1 >>")
    yield "parent", pdf_of(catalog, "<< /Type /Pages /Parent 2 0 R /Kids [3 0 R] /Count 1 >>", leaf % "")
    yield "contents", pdf_of(catalog, pages, leaf % "/Contents [4 0 R 4 0 R]", "[4 0 R]")
    yield "form", pdf_of(catalog, pages, leaf % f"/Contents 5 0 R {again}", form, stream(b"/X Do"))
    yield "length", pdf_of(catalog, pages, leaf % "/Contents 4 0 R", "<< /Length 4 0 R >>\nstream\nx\nendstream")
    yield "itself", pdf_of(catalog, "2 0 R")
    yield "previous", pdf("x").replace(b"/Root 1 0 R", b"/Root 1 0 R /Prev %d" % pdf("x").rindex(b"xref\n0"))
    yield "deep", pdf_of(catalog, pages, leaf % "/Contents 4 0 R", stream(b"[" * 100_000))


@pytest.fixture(scope="module")
def child():
    made = Child(Bounds(seconds=10, megabytes=1_000))
    yield made
    made.close()


@pytest.mark.parametrize(("name", "data"), list(looping()), ids=lambda value: value if isinstance(value, str) else "")
def test_a_pdf_that_loops_is_given_up_and_the_next_is_read(child, name, data, no_tesseract):
    loader = f"{reader.__name__}:load_pdf"
    try:
        child.load(loader, FILE, data)
    except Unreadable as error:
        assert str(error)
    assert [unit.text for unit in child.load(loader, FILE, pdf("the next"))] == ["the next"]
