"""The publisher's own hub: plain HTTPS with ranges, for machines that are online."""

from __future__ import annotations

import os
import re
from pathlib import Path

import httpx

from lorebook_api.indexing import Progress
from lorebook_daemon.models.catalogue import HubFile, KnownFile
from lorebook_daemon.models.partial import Partial
from lorebook_daemon.models.source import Report, SourceFailed

# A machine that cannot reach the hub shall know it at once; a slow line may take its time.
_TIMEOUT = httpx.Timeout(30.0, connect=3.0)


class Hub:
    """Brings files from the hub, or from the mirror that the variable HF_ENDPOINT names."""

    def offers(self, file: KnownFile) -> bool:
        """Return whether the publisher keeps `file` there."""
        return file.hub is not None

    def bring(self, file: KnownFile, partial: Partial, work: Path, report: Report) -> None:
        """Append what is missing; a line that breaks is taken up again as long as each try brings something."""
        if file.hub is None:
            raise SourceFailed("the publisher keeps no such file there")
        if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
            raise SourceFailed("HF_HUB_OFFLINE is set")
        try:
            with httpx.Client(follow_redirects=True, timeout=_TIMEOUT) as client:
                while partial.size < file.size:
                    _go_on(client, _url(file.hub), file, partial, report)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise SourceFailed(str(error) or type(error).__name__) from error


def _url(place: HubFile) -> str:
    endpoint = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    return f"{endpoint.rstrip('/')}/{place.repo}/resolve/main/{place.file}"


def _go_on(client: httpx.Client, url: str, file: KnownFile, partial: Partial, report: Report) -> None:
    """Ask once for what is missing; raises where nothing came."""
    before = partial.size
    # Without identity a proxy may pack the bytes, and a range of packed bytes is another range.
    headers = {"Range": f"bytes={before}-", "Accept-Encoding": "identity"}
    try:
        with client.stream("GET", url, headers=headers) as response:
            _check(response, file, partial)
            for chunk in response.iter_bytes():
                partial.append(chunk[: file.size - partial.size])
                report(Progress(file.path, partial.size, file.size))
    except httpx.TransportError:
        if partial.size <= before:
            raise
    if partial.size <= before:
        raise SourceFailed("the answer was empty")


def _check(response: httpx.Response, file: KnownFile, partial: Partial) -> None:
    """Make sure that the answer goes on where `partial` ends, in the file that is wanted."""
    response.raise_for_status()
    # The hub sends the checksum of a large file with the redirect to where the bytes lie.
    tags = {answer.headers.get("x-linked-etag", "").strip('"') for answer in (*response.history, response)}
    if any(re.fullmatch("[0-9a-f]{64}", tag) and tag != file.sha256 for tag in tags):
        raise SourceFailed("the hub has another file under this name now")
    if response.status_code != httpx.codes.PARTIAL_CONTENT:
        partial.cut(0)  # a server without ranges starts from the beginning
        return
    span = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("content-range", ""))
    if span is None or int(span[1]) != partial.size or span[2] not in ("*", str(file.size)):
        raise SourceFailed("the hub has a file of another size under this name now")
