"""What passes between the browser and the daemon: which paths, which headers, which part of the query."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote, unquote_plus

from lorebook_api.errors import NotFound

_OPEN = re.compile(r"(?:api|v1)(?:/.*)?|health")
"""The daemon's routes, in the spelling that needs no decoding."""

_OURS = frozenset({"token", "_xsrf"})
"""Fields of a query that are Jupyter's login."""

_PASSED = ("accept", "content-type", "last-event-id")
"""Headers of a request that the daemon gets. The others are Jupyter's (cookies, its token, the page's origin)."""

_KEPT_BACK = frozenset(
    {
        # of one connection only: RFC 9110, section 7.6.1
        *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection"),
        *("te", "trailer", "transfer-encoding", "upgrade"),
        # Jupyter's to say
        *("content-security-policy", "date", "server", "set-cookie", "www-authenticate"),
    }
)
"""Headers of an answer that the browser does not get."""


@dataclass(frozen=True)
class Request:
    """What is asked of the daemon; `target` is a path, with its query."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


def find_target(path: str, query: str) -> str:
    """Return the daemon's path and query for the undecoded `path` below `lorebook/`.

    Raises NotFound for what is neither below `api` or `v1` nor `health`, and for a path that climbs.
    """
    if not _OPEN.fullmatch(path) or _climbs(path):
        raise NotFound(f"lorebook/{path} is not something that is forwarded.", "The paths begin with lorebook/api/.")
    kept = "&".join(part for part in query.split("&") if unquote_plus(part.partition("=")[0]) not in _OURS)
    return f"/{path}?{kept}" if kept else f"/{path}"


def pick_request_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return what the daemon is told of the request's headers."""
    picked = {name: headers[name] for name in _PASSED if name in headers}
    # Whatever the daemon sends is passed on as it is: one packing, Jupyter's own, is enough.
    return picked | {"accept-encoding": "identity"}


def pick_answer_headers(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return what the browser is told of the answer's headers, in their order."""
    given = [(name.lower(), value) for name, value in headers]
    named = {item.strip().lower() for name, value in given if name == "connection" for item in value.split(",")}
    return [(name, value) for name, value in given if name not in _KEPT_BACK | named]


def _climbs(path: str) -> bool:
    return any(segment in {".", ".."} for segment in re.split(r"[/\\]", unquote(path)))
