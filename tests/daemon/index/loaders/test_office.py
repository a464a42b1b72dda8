import io
import zipfile
from pathlib import Path

import openpyxl
import pytest

import fake_documents
from fake_documents import LONG, docx, odf, paragraph, pptx, shape, zipped
from lorebook_daemon.index.loaders import archive, sheet
from lorebook_daemon.index.loaders.docx import load_docx
from lorebook_daemon.index.loaders.epub import load_epub
from lorebook_daemon.index.loaders.odf import load_odf
from lorebook_daemon.index.loaders.pptx import load_pptx
from lorebook_daemon.index.loaders.records import MOST_SCANNED
from lorebook_daemon.index.loaders.xlsx import load_xlsx
from lorebook_daemon.index.passage import Unreadable

FILE = Path("a.doc")


def shown(units):
    return [(unit.context, unit.start_line, unit.text) for unit in units]


def test_a_word_documents_sections_have_their_headings_whatever_words_language():
    body = (
        paragraph("The Report", "T")
        + paragraph(LONG)
        + paragraph("Wells", "berschrift1")
        + paragraph(LONG)
        + paragraph("Deep", "out")
        + paragraph(LONG, "round")
        + paragraph("Own", "own")
        + paragraph(LONG)
    )
    assert [(unit.context, unit.start_line) for unit in load_docx(FILE, docx(body))] == [
        (("The Report",), 1),
        (("The Report", "Wells"), 3),
        (("The Report", "Wells", "Deep"), 5),
        (("The Report", "Own"), 7),
    ]


def test_a_word_documents_tables_lists_and_boxes_are_lines_and_deleted_words_are_left_out():
    body = (
        "<w:tbl><w:tr><w:tc>" + paragraph("a") + "</w:tc>"
        "<w:tc>" + paragraph("b") + paragraph("c") + "</w:tc></w:tr></w:tbl>"
        "<w:p><w:pPr><w:numPr/><w:tabs><w:tab/></w:tabs></w:pPr><w:r><w:t>one</w:t><w:tab/><w:t>two</w:t></w:r></w:p>"
        "<w:p><w:r><w:t>first</w:t><w:br/><w:t>second</w:t></w:r>"
        "<w:del><w:r><w:delText>gone</w:delText><w:t>gone</w:t></w:r></w:del></w:p>"
        '<w:p><mc:AlternateContent xmlns:mc="m"><mc:Choice>' + paragraph("box") + "</mc:Choice><mc:Fallback>"
        + paragraph("box") + "</mc:Fallback></mc:AlternateContent></w:p>"
        "<w:sdt><w:sdtContent>" + paragraph("in a control") + "</w:sdtContent></w:sdt>"
    )  # fmt: skip
    notes = f"<w:footnotes {fake_documents.W}><w:footnote>{paragraph('a note')}</w:footnote></w:footnotes>"
    (unit,) = load_docx(FILE, docx(body, footnotes=notes))
    assert unit.text.split("\n") == [
        "a | b c",
        "- one two",
        "first",
        "second",
        "box",
        "in a control",
        "Footnotes",
        "a note",
    ]


def test_slides_come_as_they_are_shown_with_their_notes():
    table = "<a:tbl><a:tr><a:tc><a:p><a:r><a:t>x</a:t></a:r></a:p></a:tc><a:tc><a:p/></a:tc></a:tr></a:tbl>"
    first = shape("Hello", "ctrTitle") + shape("a point") + shape("7", "sldNum") + table
    data = pptx(first, "", shape("the end"), notes="say this")
    assert shown(load_pptx(FILE, data)) == [
        (("slide 1", "Hello"), 1, "Hello\na point\nx |\nNotes:\nsay this"),
        (("slide 3",), 6, "the end"),
    ]


def workbook(**sheets):
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        page = book.create_sheet(name)
        for row in rows:
            page.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def test_sheets_are_units_under_a_summary_of_their_columns():
    data = workbook(
        Prices=[["Prices of 2024"], [], ["well", "price"], *[[f"w{i}", i / 2] for i in range(300)]],
        Empty=[],
        Note=[["only this"]],
    )
    prices, note = load_xlsx(FILE, data)
    assert prices.text.startswith("Prices of 2024\nwell | price\nw0 | 0\nw1 | 0.5\n")
    assert prices.context == (
        "sheet Prices, 300 rows, the first 20 shown",
        "columns: well (text: w0, w1, w2, w3, w4, w5, …), price (number, 0 to 149.5)",
    )
    assert (note.text, note.start_line, note.defines) == ("only this", 23, ("Note",))


def test_of_a_sheet_without_end_only_its_first_rows_are_looked_at():
    rows = (["a", "b"] for _ in range(MOST_SCANNED * 10))
    unit = sheet.sheet_unit("S", rows, 1, ())
    assert unit.context[2] == f"only the first {MOST_SCANNED:,} rows were looked at"
    assert next(rows) == ["a", "b"]
    blank = ([None] for _ in range(10**12))
    assert sheet.sheet_unit("S", blank, 1, ()) is None


def test_a_workbook_that_unpacks_to_very_much_is_refused(monkeypatch):
    monkeypatch.setattr("lorebook_daemon.index.loaders.xlsx.LARGEST_PART", 1_000)
    with pytest.raises(Unreadable, match="unpacks"):
        load_xlsx(FILE, workbook(A=[[1]]))


def test_an_open_document_text_has_sections():
    body = (
        '<office:text><text:tracked-changes><text:p>gone</text:p></text:tracked-changes>'
        f'<text:h text:outline-level="1">Head</text:h><text:p>{LONG}</text:p>'
        '<text:h text:outline-level="2">Sub</text:h><text:list><text:list-item><text:p>a<text:s/>b</text:p>'
        "</text:list-item></text:list><text:p>so<text:note><text:note-citation>1</text:note-citation>"
        "<text:note-body><text:p>why</text:p></text:note-body></text:note> said<text:line-break/>he</text:p>"
        "<table:table><table:table-row><table:table-cell><text:p>x</text:p></table:table-cell><table:table-cell>"
        "<text:p>y</text:p></table:table-cell></table:table-row></table:table></office:text>"
    )  # fmt: skip
    first, second = load_odf(FILE, odf(body))
    assert (first.context, second.context, second.start_line) == (("Head",), ("Head", "Sub"), 3)
    assert second.text == "Sub\n- a b\nso (why) said\nhe\nx | y"


def test_an_open_document_presentation_has_slides():
    frame = '<draw:frame presentation:class="title"><draw:text-box><text:p>Hello</text:p></draw:text-box></draw:frame>'
    body = f"<office:presentation><draw:page>{frame}</draw:page><draw:page/></office:presentation>"
    assert shown(load_odf(FILE, odf(body))) == [(("slide 1", "Hello"), 1, "Hello")]


def test_an_open_document_sheet_that_repeats_its_cells_a_billion_times_is_bounded():
    def cell(text, times=1):
        inside = f"<text:p>{text}</text:p>" if text else ""
        return f'<table:table-cell table:number-columns-repeated="{times}">{inside}</table:table-cell>'

    body = (
        '<office:spreadsheet><table:table table:name="S">'
        f"<table:table-row>{cell('name')}{cell('n')}{cell('', 999999999)}</table:table-row>"
        f"<table:table-row>{cell('x')}{cell('1')}</table:table-row>"
        f'<table:table-row table:number-rows-repeated="999999999">{cell("y", 2)}</table:table-row>'
        f'<table:table-row table:number-rows-repeated="999999999">{cell("", 99)}</table:table-row>'
        "</table:table></office:spreadsheet>"
    )
    (unit,) = load_odf(FILE, odf(body))
    assert unit.text.startswith("name | n\nx | 1\ny | y\ny | y\n")
    assert unit.context[0] == f"sheet S, {1 + sheet.MOST_BLANK:,} rows, the first 20 shown"


def test_a_locked_open_document_is_refused():
    manifest = {"META-INF/manifest.xml": "<manifest><file-entry><encryption-data/></file-entry></manifest>"}
    with pytest.raises(Unreadable, match="password"):
        load_odf(FILE, odf("<office:text/>", **manifest))


def test_a_books_chapters_come_in_reading_order():
    data = epub_of_two()
    assert [(unit.context, unit.start_line) for unit in load_epub(FILE, data)] == [
        (("The Book", "chapter 1", "One"), 1),
        (("The Book", "chapter 2", "Two", "Part"), 4),
    ]


def epub_of_two(**more):
    return fake_documents.epub(
        {
            "z%20one.xhtml": f"<!DOCTYPE html><title>x</title><body><h1>One</h1><p>{LONG}</p></body>",
            "a.xhtml": f"<h1>Two</h1><h2>Part</h2><p>{LONG}</p>",
        },
        **more,
    )


def test_a_book_whose_text_is_locked_is_refused_and_one_whose_fonts_are_is_read():
    def lock(*names):
        parts = "".join(f'<CipherReference URI="{name}"/>' for name in names)
        return {"META-INF/encryption.xml": f"<encryption>{parts}</encryption>"}

    with pytest.raises(Unreadable, match="encrypted"):
        load_epub(FILE, epub_of_two(**lock("OPS/z%20one.xhtml", "OPS/a.xhtml")))
    assert len(load_epub(FILE, epub_of_two(**lock("OPS/font.otf")))) == 2


LOADERS = [load_docx, load_pptx, load_xlsx, load_odf, load_epub]


@pytest.mark.parametrize("load", LOADERS)
@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"hello", "not an? "),
        (archive.OLE + b"\0" * 600, "password"),
        (zipped({"other.xml": "<a/>"}), "not an? "),
        (zipped({"other.xml": "<a/>"})[:-30], "not an? "),
    ],
    ids=["words", "OLE", "another archive", "a cut archive"],
)
def test_what_is_no_such_document_is_refused(load, data, why):
    with pytest.raises(Unreadable, match=why):
        load(FILE, data)


BOMB = '<!DOCTYPE a [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><a>&b;</a>'


@pytest.mark.parametrize(("content", "why"), [(BOMB, "entities"), ("<a>", "damaged"), (b"\xff\xfe\x00", "damaged")])
def test_xml_that_grows_or_is_broken_is_refused(content, why):
    with pytest.raises(Unreadable, match=why):
        load_docx(FILE, zipped({"word/document.xml": content}))


def test_a_part_that_unpacks_to_very_much_is_refused_before_it_is_unpacked():
    data = zipped({"word/document.xml": b" " * (archive.LARGEST_PART + 1)})
    assert len(data) < 200_000
    with pytest.raises(Unreadable, match="unpacks to 64 MB"):
        load_docx(FILE, data)


def test_a_part_that_says_it_is_small_is_read_no_further():
    data = bytearray(zipped({"word/document.xml": b" " * 10_000_000}))
    info = zipfile.ZipFile(io.BytesIO(data)).infolist()[0]
    size = info.file_size.to_bytes(4, "little")
    data = data.replace(size, (100).to_bytes(4, "little"))
    with pytest.raises(Unreadable, match="damaged in"):
        load_docx(FILE, bytes(data))


def test_an_encrypted_part_is_refused():
    data = bytearray(zipped({"word/document.xml": "<a/>"}))
    data[data.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(Unreadable, match="password"):
        load_docx(FILE, bytes(data))
