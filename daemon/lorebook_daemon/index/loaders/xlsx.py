"""Excel workbooks: a unit for each sheet."""

from __future__ import annotations

import io
import warnings
import zipfile
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

from lorebook_daemon.index.loaders.archive import LARGEST_PART, Archive
from lorebook_daemon.index.loaders.sheet import MOST_SHEETS, sheet_unit
from lorebook_daemon.index.passage import Unit, Unreadable

LARGEST_SHEET = 16 * LARGEST_PART
"""Bytes of a sheet, unpacked: it is read row by row, and no further than its first rows."""


def load_xlsx(path: Path, data: bytes) -> list[Unit]:
    """Return a unit for each sheet that is not empty; lines count on from sheet to sheet.

    Of a formula the value is shown that Excel last computed; macros are never run. Raises Unreadable for what is no
    workbook, what a password locks, and what unpacks beyond bounds.
    """
    archive = Archive(data, "an Excel workbook")
    archive.check("[Content_Types].xml")
    for name in archive.names:
        archive.check(name, LARGEST_SHEET if "/worksheets/" in name else LARGEST_PART)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what it does not know: extensions, validations, a missing style
            return _units(data)
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, AttributeError, IndexError, ParseError) as error:
        raise Unreadable("an Excel workbook that is damaged") from error


def _units(data: bytes) -> list[Unit]:
    import openpyxl

    book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
    units: list[Unit] = []
    line = 1
    try:
        for sheet in book.worksheets[:MOST_SHEETS]:
            unit = sheet_unit(sheet.title, _rows(sheet), line, (sheet.title,))
            if unit is not None:
                units.append(unit)
                line += unit.text.count("\n") + 1
    finally:
        book.close()
    return units


def _rows(sheet: Any) -> Any:
    sheet.reset_dimensions()  # what the sheet says of its size is often wrong
    return sheet.iter_rows(values_only=True)
