"""Documents made by hand, part by part, as the formats' specifications have them."""

import io
import random
import struct
import zipfile
import zlib

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
A = 'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"'
P = 'xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main"'
R = 'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
O = (  # noqa: E741 - as the specification calls it
    'xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
    'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" '
    'xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" '
    'xmlns:draw="urn:oasis:names:tc:opendocument:xmlns:drawing:1.0" '
    'xmlns:presentation="urn:oasis:names:tc:opendocument:xmlns:presentation:1.0"'
)
LONG = "word " * 60


def zipped(parts: dict[str, str | bytes]) -> bytes:
    """Return a zip archive, the same at all times: two processes of tests must find tests of the same names."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def paragraph(text: str, style: str = "") -> str:
    styled = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f"<w:p>{styled}<w:r><w:t>{text}</w:t></w:r></w:p>"


def docx(body: str, **more: str) -> bytes:
    styles = (
        f"<w:styles {W}>"
        '<w:style w:styleId="T"><w:name w:val="Title"/></w:style>'
        '<w:style w:styleId="berschrift1"><w:name w:val="heading 1"/></w:style>'
        '<w:style w:styleId="own"><w:name w:val="My own"/><w:basedOn w:val="berschrift1"/></w:style>'
        '<w:style w:styleId="out"><w:name w:val="x"/><w:pPr><w:outlineLvl w:val="1"/></w:pPr></w:style>'
        '<w:style w:styleId="round"><w:name w:val="y"/><w:basedOn w:val="round"/></w:style></w:styles>'
    )
    parts = {"word/document.xml": f"<w:document {W}><w:body>{body}</w:body></w:document>", "word/styles.xml": styles}
    return zipped({**parts, **{f"word/{name}.xml": content for name, content in more.items()}})


def shape(text: str, kind: str = "") -> str:
    place = f'<p:nvSpPr><p:nvPr><p:ph type="{kind}"/></p:nvPr></p:nvSpPr>' if kind else ""
    return f"<p:sp>{place}<p:txBody><a:p><a:r><a:t>{text}</a:t></a:r></a:p></p:txBody></p:sp>"


def pptx(*slides: str, notes: str = "") -> bytes:
    """Return a presentation whose slides are kept in the reverse of the order in which they are shown."""
    count = len(slides)
    ids = "".join(f'<p:sldId id="{256 + n}" r:id="rId{n}"/>' for n in range(count))
    places = "".join(f'<Relationship Id="rId{n}" Target="slides/slide{count - n}.xml"/>' for n in range(count))
    parts: dict[str, str | bytes] = {
        "ppt/presentation.xml": f"<p:presentation {P} {R}><p:sldIdLst>{ids}</p:sldIdLst></p:presentation>",
        "ppt/_rels/presentation.xml.rels": f"<Relationships>{places}</Relationships>",
    }
    for n, slide in enumerate(slides):
        parts[f"ppt/slides/slide{count - n}.xml"] = f"<p:sld {P} {A}><p:cSld>{slide}</p:cSld></p:sld>"
    if notes:
        target = '<Relationships><Relationship Id="a" Target="../notesSlides/n.xml"/></Relationships>'
        parts[f"ppt/slides/_rels/slide{count}.xml.rels"] = target
        parts["ppt/notesSlides/n.xml"] = f"<p:notes {P} {A}>{shape(notes, 'body')}{shape('7', 'sldNum')}</p:notes>"
    return zipped(parts)


def odf(body: str, **more: str) -> bytes:
    content = f"<office:document-content {O}><office:body>{body}</office:body></office:document-content>"
    return zipped({"mimetype": "application/vnd.oasis.opendocument.text", "content.xml": content, **more})


def epub(chapters: dict[str, str], **more: str) -> bytes:
    items = "".join(
        f'<item id="i{n}" href="{name}" media-type="application/xhtml+xml"/>' for n, name in enumerate(chapters)
    )
    order = "".join(f'<itemref idref="i{n}"/>' for n in range(len(chapters)))
    package = (
        '<package xmlns="http://www.idpf.org/2007/opf"><metadata xmlns:dc="http://purl.org/dc/elements/1.1/">'
        f"<dc:title>The Book</dc:title></metadata><manifest>{items}</manifest><spine>{order}</spine></package>"
    )
    container = '<container><rootfiles><rootfile full-path="OPS/book.opf"/></rootfiles></container>'
    pages = {f"OPS/{name.replace('%20', ' ')}": page for name, page in chapters.items()}
    return zipped({"META-INF/container.xml": container, "OPS/book.opf": package, **pages, **more})


def pdf_of(*objects: str | bytes) -> bytes:
    """Return a PDF of these objects, numbered from 1; the first is its catalogue."""
    out = b"%PDF-1.4\n"
    places = []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body if isinstance(body, bytes) else body.encode())
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    end = (
        f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}trailer\n<< /Size {len(objects) + 1} /Root 1 0 R >>\n"
    )
    return out + f"{end}startxref\n{len(out)}\n%%EOF\n".encode()


def stream(data: bytes, entries: str = "") -> bytes:
    """Return a stream of a PDF."""
    return b"<< /Length %d %s >>\nstream\n%s\nendstream" % (len(data), entries.encode(), data)


def pdf(*pages: str) -> bytes:
    """Return a PDF of one line a page."""
    kids = " ".join(f"{3 + 2 * i} 0 R" for i in range(len(pages)))
    font = "<< /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >>"
    objects: list[str | bytes] = ["<< /Type /Catalog /Pages 2 0 R >>"]
    objects.append(f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>")
    for i, text in enumerate(pages):
        box = f"/MediaBox [0 0 612 792] /Contents {4 + 2 * i} 0 R /Resources {font}"
        drawn = f"BT /F1 12 Tf 72 700 Td ({text}) Tj ET" if text else ""
        objects += [f"<< /Type /Page /Parent 2 0 R {box} >>", stream(drawn.encode())]
    return pdf_of(*objects)


def scanned_pdf(picture: bytes, width: int, height: int) -> bytes:
    """Return a PDF of one page that shows a picture in greys, a byte a dot, and has no text."""
    image = f"/Type /XObject /Subtype /Image /Width {width} /Height {height} /ColorSpace /DeviceGray"
    return pdf_of(
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R "
        "/Resources << /XObject << /Im 5 0 R >> >> >>",
        stream(b"612 0 0 792 0 0 cm /Im Do"),
        stream(zlib.compress(picture), f"{image} /BitsPerComponent 8 /Filter /FlateDecode"),
    )


def png(width: int = 400, height: int = 40) -> bytes:
    """Return a picture of noise."""
    rng = random.Random(3)
    rows = b"".join(b"\0" + rng.randbytes(width) for _ in range(height))
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)), (b"IDAT", zlib.compress(rows))]
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in [*chunks, (b"IEND", b"")]
    )
    return b"\x89PNG\r\n\x1a\n" + body
