"""A small whole file of every kind that is read, for tests that damage it."""

import io
import json
import sqlite3
import tempfile
from pathlib import Path

import fake_documents

ROWS = [["id", "name"], *([str(n), f"well {n}"] for n in range(30))]
CELLS = [
    {"cell_type": "markdown", "id": "a", "metadata": {}, "source": "# Title\n\nSome words."},
    {
        "cell_type": "code",
        "id": "b",
        "metadata": {},
        "execution_count": 1,
        "source": ["import os\n", "x = {'a': 1}\n", "x"],
        "outputs": [
            {"output_type": "stream", "name": "stdout", "text": ["one\n", "two\x1b[0m\n"]},
            {
                "output_type": "execute_result",
                "execution_count": 1,
                "metadata": {},
                "data": {
                    "text/html": "<table><tr><td>1</td></tr></table>",
                    "text/plain": "<X object>",
                    "application/json": {"a": [1, {"b": 2}]},
                },
            },
            {"output_type": "error", "ename": "KeyError", "evalue": "'b'", "traceback": ["\x1b[31mKeyError\x1b[0m"]},
        ],
    },
]
RTF = (
    rb"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0 Arial;}}{\info{\title Hidden}}{\pict\pngblip " + b"89504e47" * 40 + rb"}"
    rb"\pard\b The wells\b0\par Gr\'fc\'dfe an J\u246?rg.\par"
    rb"\trowd\cellx1000\cellx2000 id\cell level\cell\row\trowd\cellx1000\cellx2000 W1\cell 3.2\cell\row\pard end\par}"
)


def workbook() -> bytes:
    import openpyxl

    book = openpyxl.Workbook()
    for row in ROWS:
        book.active.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def parquet() -> bytes:
    import pyarrow as pa
    import pyarrow.parquet

    out = io.BytesIO()
    pyarrow.parquet.write_table(pa.table({"a": range(50), "b": ["x"] * 50}), out)
    return out.getvalue()


def arrow() -> bytes:
    import pyarrow as pa

    table = pa.table({"a": range(50), "b": ["x"] * 50})
    out = io.BytesIO()
    with pa.ipc.new_file(out, table.schema) as writer:
        writer.write_table(table)
    return out.getvalue()


def sqlite() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "a.sqlite"
        connection = sqlite3.connect(file)
        with connection:
            connection.execute("CREATE TABLE wells (id INTEGER PRIMARY KEY, name TEXT)")
            connection.executemany("INSERT INTO wells (name) VALUES (?)", [(row[1],) for row in ROWS[1:]])
        connection.close()
        return file.read_bytes()


def notebook() -> bytes:
    whole = {"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": {"language": "python"}}, "cells": CELLS}
    return json.dumps(whole, indent=1).encode()


def old_notebook() -> bytes:
    cell = {"cell_type": "code", "language": "python", "input": "x = 1", "outputs": [], "collapsed": False}
    return json.dumps({"nbformat": 3, "nbformat_minor": 0, "metadata": {}, "worksheets": [{"cells": [cell]}]}).encode()


TEXTS = {
    "a.py": b"import os\n\n\nclass A:\n    def f(self):\n        return {'a': [1, 2]}\n",
    "a.js": b"function f(a) {\n  return `x${a}` + /re/.test(a);\n}\n",
    "a.cpp": b"template <typename T> struct S { T t; };\nint main() { return S<int>{1}.t; }\n",
    "a.sql": b"CREATE TABLE t (a INT);\nSELECT * FROM t WHERE a > 1;\n",
    "a.md": b"---\nt: x\n---\n# A\n\n* b\n  > c\n\n```py\nx\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n",
    "a.rst": b"=====\nTitle\n=====\n\nPart\n----\n\nwords::\n\n  code\n",
    "a.tex": b"\\section{One \\emph{x}}\nwords\n\\begin{verbatim}\n\\section{no}\n\\end{verbatim}\n",
    "a.adoc": b"= Title\n\n== Part\n\nwords\n",
    "a.txt": b"One paragraph.\n\nAnother one.\n",
    "a.html": b"<!doctype html><h1>A</h1><p>b<br>c<table><tr><td>1<td>2</table><pre>x\n y</pre><!-- c -->",
    "a.csv": "\n".join(",".join(row) for row in ROWS).encode(),
    "a.tsv": b"a\tb\n1\t2\n",
    "a.json": b'{"a": [1, {"b": null}], "c": "text"}\n',
    "a.jsonl": b'{"a": 1}\n{"a": 2}\n',
    "a.yaml": b"a:\n  - b: 1\n    c: |\n      text\n",
    "a.toml": b'[a]\nb = 1\n[[c]]\nd = "x"\n',
    "a.xml": b"<a><b c='d'>text</b></a>\n",
    "a.ini": b"[a]\nb = c\n",
    "a.srt": b"1\n00:00:01,000 --> 00:00:02,000\nwords\n\n2\n00:03:01,000 --> 00:03:02,000\n<i>more</i>\n",
    "a.vtt": b"WEBVTT\n\n00:01.000 --> 00:02.000\n<v Ann>words\n",
    "a.eml": b"Subject: =?utf-8?q?x?=\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nwords\n--b--\n",
    "a.mbox": b"From a\nSubject: one\n\nwords\n\nFrom b\nTo: x@y\n\nmore\n",
    "a.mhtml": b"Content-Type: text/html; charset=utf-8\n\n<p>words</p>",
    "a.rtf": RTF,
}


def samples() -> dict[str, bytes]:
    """Return a whole file of each kind by its name."""
    slide = fake_documents.shape("Hello", "title")
    sheet = (
        '<office:spreadsheet><table:table table:name="S"><table:table-row table:number-rows-repeated="3">'
        '<table:table-cell table:number-columns-repeated="2"><text:p>1</text:p></table:table-cell>'
        "</table:table-row></table:table></office:spreadsheet>"
    )
    return {
        **TEXTS,
        "a.ipynb": notebook(),
        "old.ipynb": old_notebook(),
        "a.pdf": fake_documents.pdf("The first page", "Another one"),
        "a.docx": fake_documents.docx(fake_documents.paragraph("Head", "T") + fake_documents.paragraph("words")),
        "a.pptx": fake_documents.pptx(slide, slide, notes="note"),
        "a.xlsx": workbook(),
        "a.odt": fake_documents.odf("<office:text><text:p>words</text:p></office:text>"),
        "a.ods": fake_documents.odf(sheet),
        "a.epub": fake_documents.epub({"a.xhtml": "<h1>A</h1><p>words</p>"}),
        "a.parquet": parquet(),
        "a.arrow": arrow(),
        "a.sqlite": sqlite(),
    }
