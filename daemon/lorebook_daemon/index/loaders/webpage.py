"""Web pages that a browser saved whole, with their pictures: MHTML (RFC 2557) and Safari's web archive."""

from __future__ import annotations

import plistlib
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from xml.parsers.expat import ExpatError

from lorebook_daemon.index.loaders.encoding import refuse_binary
from lorebook_daemon.index.loaders.html import extract
from lorebook_daemon.index.loaders.message import text_of
from lorebook_daemon.index.loaders.sections import Line, sections_of
from lorebook_daemon.index.passage import Unit, Unreadable


def load_mhtml(path: Path, data: bytes) -> list[Unit]:
    """Return the page's sections, the address that it was saved from above them; lines count in the extracted text.

    Nothing is fetched or run. Raises Unreadable for what holds no page.
    """
    refuse_binary(data)
    if not data.strip():
        return []
    message = message_from_bytes(data, policy=policy.default)
    pages = [part for part in message.walk() if part.get_content_type() in ("text/html", "application/xhtml+xml")]
    if not pages or not isinstance(pages[0], EmailMessage):
        raise Unreadable("not a saved web page: no HTML in it")
    address = str(message.get("Snapshot-Content-Location") or pages[0].get("Content-Location") or "")
    return _page(text_of(pages[0]), address)


def load_webarchive(path: Path, data: bytes) -> list[Unit]:
    """Return what `load_mhtml` does, for a page saved by Safari."""
    if not data:
        return []
    try:
        page = plistlib.loads(data)["WebMainResource"]
        content, encoding = page["WebResourceData"], page.get("WebResourceTextEncodingName") or "utf-8"
        return _page(content.decode(encoding, "replace"), str(page.get("WebResourceURL", "")))
    except (plistlib.InvalidFileException, ExpatError, ValueError) as error:
        raise Unreadable("not a web archive") from error
    except (KeyError, TypeError, AttributeError, LookupError, OverflowError, RecursionError) as error:
        raise Unreadable("a web archive without a page that can be read") from error


def _page(markup: str, address: str) -> list[Unit]:
    above = " ".join(address.split())
    return sections_of([*([Line(above)] if above else []), *extract(markup)])
