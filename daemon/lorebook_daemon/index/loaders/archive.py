"""Documents that are zip archives of XML parts: Office, OpenDocument, e-pub."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator
from xml.etree.ElementTree import Element, ParseError

from lorebook_daemon.index.passage import Unreadable

LARGEST_PART = 64 * 1024 * 1024
"""Bytes of one part, unpacked; a document of a thousand pages has some 20 MB."""
MOST_PARTS = 20_000
OLE = bytes.fromhex("d0cf11e0a1b11ae1")
"""How Office's own container begins: the old formats, and the new ones under a password."""
_ENCRYPTED = 0x1


class Archive:
    """The parts of one document, read only within bounds. Raises Unreadable for what is no whole archive."""

    def __init__(self, data: bytes, what: str) -> None:
        self.what = what
        """The kind of document, for messages: `a Word document`."""
        if data.startswith(OLE):
            raise Unreadable(f"{what} that a password locks, or of the format before 2007")
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
        except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
            raise Unreadable(f"not {what}, or a damaged one") from error
        self.names = frozenset(self._zip.namelist())
        """The parts that there are."""
        if len(self.names) > MOST_PARTS:
            raise Unreadable(f"{what} of {len(self.names):,} parts, above {MOST_PARTS:,}")

    def check(self, name: str, largest: int = LARGEST_PART) -> None:
        """Raise Unreadable where a part is encrypted or unpacks to more than `largest` bytes, or is not there."""
        try:
            info = self._zip.getinfo(name)
        except KeyError as error:
            raise Unreadable(f"not {self.what}: it has no {name}") from error
        if info.flag_bits & _ENCRYPTED:
            raise Unreadable(f"{self.what} that a password locks")
        if info.file_size > largest:
            raise Unreadable(f"{self.what} with a part that unpacks to {info.file_size / 1024**2:,.0f} MB")

    def read(self, name: str) -> bytes:
        """Return a part unpacked; never more than it says it is, which is what was checked."""
        self.check(name)
        try:
            return self._zip.read(name)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError) as error:
            raise Unreadable(f"{self.what} that is damaged in {name}") from error

    def xml(self, name: str) -> Element:
        """Return the root of a part in XML; entities, which can be made to grow without end, are refused."""
        from defusedxml.common import DefusedXmlException
        from defusedxml.ElementTree import fromstring

        try:
            root: Element = fromstring(self.read(name))
        except DefusedXmlException as error:
            raise Unreadable(f"{self.what} that declares XML entities") from error
        except (ParseError, ValueError, LookupError) as error:
            raise Unreadable(f"{self.what} that is damaged in {name}") from error
        return root


def local(name: str) -> str:
    """Return a name without its namespace, in which strict and transitional Office files differ."""
    return name.rpartition("}")[2]


def attribute(node: Element, name: str) -> str:
    """Return the attribute of that local name, empty where there is none."""
    return next((value for key, value in node.attrib.items() if local(key) == name), "")


def children(node: Element, name: str) -> Iterator[Element]:
    """Yield the children of that local name."""
    return (child for child in node if local(child.tag) == name)


def child(node: Element | None, *names: str) -> Element | None:
    """Return what a path of local names leads to, None where it breaks off."""
    for name in names:
        node = None if node is None else next(children(node, name), None)
    return node


def descendants(node: Element, name: str) -> Iterator[Element]:
    """Yield the node's descendants of that local name, in the document's order."""
    return (one for one in node.iter() if local(one.tag) == name)
