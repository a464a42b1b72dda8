"""Pictures with text in them, by Tesseract, an OCR program that a person may have installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from lorebook_daemon.index.loaders.encoding import with_newlines
from lorebook_daemon.index.passage import Unit, Unreadable

PROGRAM = "tesseract"
SECONDS = 30.0
SMALLEST = 4_000
"""Bytes; a smaller picture is an icon."""
LEAST_LETTERS = 12
"""Letters and digits; of less, the picture is taken to show no text: Tesseract finds some in any photograph."""
_MAGICS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"BM", b"GIF8", b"RIFF")


def load_image(path: Path, data: bytes) -> list[Unit]:
    """Return the text in a picture as one unit, none where there is hardly any; lines count in that text.

    Raises Unreadable for what is no picture or a damaged one, and where Tesseract is not installed.
    """
    if not data:
        return []
    if not data.startswith(_MAGICS):
        raise Unreadable("not a picture, or a damaged one")
    if len(data) < SMALLEST:
        return []
    text = read_picture(data, SECONDS)
    return [Unit(text, "doc", context=("text in a picture",))] if sum(map(str.isalnum, text)) >= LEAST_LETTERS else []


def found_program() -> str | None:
    """Return where Tesseract is, None where it is not installed."""
    return shutil.which(PROGRAM)


def read_picture(data: bytes, seconds: float) -> str:
    """Return the text in a picture, its lines without blanks at their ends.

    Raises Unreadable for one that takes longer than `seconds`, that Tesseract refuses, and where that is missing.
    """
    program = found_program()
    if program is None:
        raise Unreadable("a picture: to have its text read install tesseract-ocr, then: lorebook index --full")
    try:
        done = subprocess.run(
            [program, "stdin", "stdout", "--psm", "3"],
            input=data,
            capture_output=True,
            timeout=seconds,
            check=False,
            env={**os.environ, "OMP_THREAD_LIMIT": "1"},  # two threads that fight for a core are slower than one
        )
    except subprocess.TimeoutExpired as error:
        raise Unreadable(f"a picture whose text was not read within {seconds:.0f} s") from error
    if done.returncode != 0:
        raise Unreadable("a picture that is damaged, or that Tesseract cannot read")
    text = with_newlines(done.stdout.decode("utf-8", "replace").replace("\f", "\n"))
    return "\n".join(row.rstrip() for row in text.split("\n")).strip()
