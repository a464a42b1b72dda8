"""From the bytes of a text file to its text, whatever its encoding."""

from __future__ import annotations

import codecs

import charset_normalizer

from lorebook_daemon.index.passage import Unreadable

HEAD = 8_192
"""Bytes at the start of a file in which a NUL says that it is binary."""
LONGEST_LINE = 10_000
"""Characters; a file that lies for the most part in longer lines was made by a machine for a machine."""
WESTERN = "cp1252"
MARGIN = 0.1
"""By how much charset-normalizer's measure of disorder may be worse in WESTERN than in the best."""

_MARKS = (  # UTF-32 first: its little-endian mark begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def decode(data: bytes) -> str:
    r"""Return the text of a file, its lines ended by `\n` alone and without a final line end.

    A byte-order mark decides; then UTF-8; then what charset-normalizer finds. Raises Unreadable for binary data
    and where no encoding fits.
    """
    return with_newlines(_decoded(data))


def read_lines(data: bytes) -> str:
    """Return what `decode` does; raises Unreadable too for a minified file, of which no line could be cited."""
    text = decode(data)
    longest = [len(line) for line in text.split("\n") if len(line) > LONGEST_LINE] if len(text) > LONGEST_LINE else []
    if sum(longest) * 2 > len(text):
        raise Unreadable(f"minified or generated: a line of {max(longest):,} characters")
    return text


def with_newlines(text: str) -> str:
    r"""Return text with `\n` for `\r\n`, without a final line end, fit to be written as UTF-8."""
    return printable(text.replace("\r\n", "\n").removesuffix("\n"))


def printable(text: str) -> str:
    """Return text with a question mark for each lone surrogate: those cannot be written as UTF-8."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def refuse_binary(data: bytes) -> None:
    """Raise Unreadable where a NUL stands near the start of data that no byte-order mark announces as text."""
    if b"\0" in data[:HEAD] and not data.startswith(tuple(mark for mark, _ in _MARKS)):
        raise Unreadable("binary")


def _decoded(data: bytes) -> str:
    refuse_binary(data)
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return _guessed(data)


def _guessed(data: bytes) -> str:
    """Return the text in the encoding that fits best; Western European, the commonest, where it fits about as well."""
    matches = charset_normalizer.from_bytes(data)
    best = matches.best()
    if best is None:
        raise Unreadable("not text in any encoding that could be told")
    western = (match for match in matches if WESTERN in match.could_be_from_charset)
    return str(next((match for match in western if match.chaos <= best.chaos + MARGIN), best))
