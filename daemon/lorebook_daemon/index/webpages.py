"""Web pages that the person asked for by address: each fetched once, and kept as a file that is indexed like others.

Nothing that a page names is followed: no links, no pictures, no scripts. Nothing is fetched but what was typed.
"""

from __future__ import annotations

import hashlib
import mimetypes
import re
from contextlib import suppress
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import default
from ipaddress import ip_address
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

import httpx

from lorebook_api.errors import BadRequest, NotFound, StorageFailed, Unusable
from lorebook_api.home import Home
from lorebook_api.version import VERSION
from lorebook_daemon.index.loaders import loader_for

MOST_REDIRECTS = 5
LONGEST_NAME = 80
"""Characters of a file's name before the mark that tells addresses apart."""
LONGEST_LINE = 65_536
"""Characters of a line in a page that is kept; no address is longer."""
_TIMEOUT = httpx.Timeout(30.0, connect=10.0)
_HTML = ("text/html", "application/xhtml+xml")
_UNSAFE = re.compile(r"[^\w.-]+")
_MEGABYTE = 1024 * 1024


@dataclass(frozen=True)
class Fetched:
    """What came: its address after redirects, its media type, the encoding that the server told, its bytes."""

    url: str
    media: str
    encoding: str | None
    data: bytes


def pages_folder(home: Home) -> Path:
    """Return the folder that pages are kept in, a root like any other; it need not be there."""
    return home.state / "pages"


def keep_page(url: str, folder: Path, *, most_mb: int, offline: bool) -> Path:
    """Fetch a page and write it below `folder`, in place of what was fetched from that address before; return the file.

    Raises BadRequest for what is no web address and, where `offline` is set, for one on another machine, by redirects
    too; NotFound where nothing comes; Unusable for more than `most_mb` and for what no loader reads; StorageFailed.
    """
    with httpx.Client(
        timeout=_TIMEOUT,
        follow_redirects=True,
        max_redirects=MOST_REDIRECTS,
        headers={"User-Agent": f"lorebook/{VERSION}"},
        event_hooks={"request": [lambda request: _check(request.url, offline)]},
    ) as client:
        fetched = _fetched(client, _address(url), most_mb)
    file = folder / _name(fetched)
    _write(file, _page(fetched) if fetched.media in _HTML else fetched.data)
    return file


def _address(url: str) -> httpx.URL:
    try:
        address = httpx.URL(url.strip()).copy_with(fragment=None)
    except httpx.InvalidURL as error:
        raise BadRequest(f"{url!r} is no address: {error}.", "For example https://example.org/page.html") from error
    if address.scheme not in ("http", "https") or not address.host:
        raise BadRequest(f"{url!r} is no address of a web page.", "For example https://example.org/page.html")
    return address


def _check(url: httpx.URL, offline: bool) -> None:
    """Raise BadRequest for an address that is not to be asked; called for each that a redirect leads to as well."""
    if url.scheme not in ("http", "https") or not url.host:
        raise BadRequest(f"{str(url)!r} is no address of a web page.", "For example https://example.org/page.html")
    if offline and not _is_here(url.host):
        raise BadRequest(
            f"{url.host} is elsewhere, and lorebook is set to stay offline.",
            "Take LOREBOOK_OFFLINE, or `offline` in config.toml, away; or save the page and index its folder.",
        )


def _is_here(host: str) -> bool:
    """Return whether a host is this machine, so that nothing leaves it."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _fetched(client: httpx.Client, url: httpx.URL, most_mb: int) -> Fetched:
    try:
        with client.stream("GET", url) as response:
            response.raise_for_status()
            media = response.headers.get("content-type", "").partition(";")[0].strip().lower()
            return Fetched(str(response.url), media, response.charset_encoding, _content(response, most_mb))
    except httpx.HTTPStatusError as error:
        code = error.response.status_code
        raise NotFound(f"{error.request.url} answers {code} {error.response.reason_phrase}.", "Check it.") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        why = str(error) or type(error).__name__
        raise NotFound(f"{url} cannot be fetched: {why}.", "Check the address and the network.") from error


def _content(response: httpx.Response, most_mb: int) -> bytes:
    parts, size = [], 0
    for part in response.iter_bytes():
        size += len(part)
        if size > most_mb * _MEGABYTE:
            raise Unusable(
                f"{response.url} is larger than max_file_mb = {most_mb}.", "Set LOREBOOK_MAX_FILE_MB higher."
            )
        parts.append(part)
    return b"".join(parts)


def _name(fetched: Fetched) -> Path:
    """Return the file's path in the folder: by host and path, and marked, so that no two addresses share one."""
    url = httpx.URL(fetched.url)
    stem = _UNSAFE.sub("-", unquote(PurePosixPath(url.path).with_suffix("").as_posix())).strip("-.")[:LONGEST_NAME]
    mark = hashlib.sha256(fetched.url.encode()).hexdigest()[:8]
    return Path(_UNSAFE.sub("-", url.netloc.decode("ascii"))) / f"{stem or 'page'}-{mark}{_suffix(fetched, url)}"


def _suffix(fetched: Fetched, url: httpx.URL) -> str:
    """Return the suffix by which the file finds its loader; raises Unusable where there is none."""
    if fetched.media in _HTML:
        return ".mhtml"
    own = PurePosixPath(url.path).suffix.lower()
    for suffix in (own, mimetypes.guess_extension(fetched.media) or ""):
        if suffix and loader_for(Path(f"page{suffix}")) is not None:
            return suffix
    raise Unusable(f"{fetched.url} is {fetched.media or 'of no known kind'}, which lorebook does not read.")


def _page(fetched: Fetched) -> bytes:
    """Return an HTML page with its address, as browsers save one (MHTML, RFC 2557)."""
    from bs4 import UnicodeDammit

    decoded = UnicodeDammit(fetched.data, [fetched.encoding] if fetched.encoding else [], is_html=True)
    message = EmailMessage(default.clone(max_line_length=LONGEST_LINE))  # a folded address would be another one
    message["Snapshot-Content-Location"] = fetched.url
    message.set_content(decoded.unicode_markup or "", subtype="html", charset="utf-8", cte="base64")
    return message.as_bytes()


def _write(file: Path, data: bytes) -> None:
    """Write the whole file or nothing."""
    part = file.with_name(f"{file.name}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        part.write_bytes(data)
        part.replace(file)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise StorageFailed(f"{file} cannot be written ({error.strerror or error}).", "Make room for it.") from error
