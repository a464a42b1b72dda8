"""What stands before every handler: the token, the Host, the Origin, the body's size, the log's line.

Pure ASGI, so that streams pass through unbuffered and a hang-up reaches the handler.
"""

from __future__ import annotations

import logging
import secrets
import time
from contextlib import nullcontext
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lorebook_api.errors import BadRequest, Forbidden, LorebookError, Unauthorized
from lorebook_daemon.app.activity import Activity
from lorebook_daemon.app.failures import error_response

log = logging.getLogger(__name__)

BODY_LIMIT = 4 * 1024 * 1024
"""Bytes of a request's body at the most."""

OPEN_PATHS = frozenset({"/health"})
"""What may be asked without the token."""

LOOKING = frozenset({"/health", "/api/status"})
"""Paths of those who only look: a page that is left open asks every few seconds, and must not keep the daemon up."""

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True)
class Credentials:
    """What a request must carry: the bearer token, and one of these Host headers."""

    token: str
    hosts: frozenset[str]


class Guard:
    """Refuses foreign Hosts (DNS rebinding), foreign Origins (other web pages) and wrong tokens."""

    def __init__(self, app: ASGIApp, credentials: Credentials) -> None:
        self._app = app
        self._credentials = credentials

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer with the reason for not doing so."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        try:
            self._check(scope)
        except LorebookError as error:
            await error_response(error)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        if headers.get("host", "").lower() not in self._credentials.hosts:
            raise Forbidden("The Host header names another machine.", "Use the url in the runtime file daemon.json.")
        origin = headers.get("origin")
        if origin is not None and not _is_loopback(origin):
            raise Forbidden("The request comes from a web page of another machine.")
        if scope["path"] not in OPEN_PATHS and not self._knows_token(headers.get("authorization", "")):
            raise Unauthorized("The token is missing or wrong.", "Send `Authorization: Bearer TOKEN` from daemon.json.")

    def _knows_token(self, authorization: str) -> bool:
        scheme, _, given = authorization.partition(" ")
        return scheme.lower() == "bearer" and secrets.compare_digest(given.encode(), self._credentials.token.encode())


def _is_loopback(origin: str) -> bool:
    try:
        return urlsplit(origin).hostname in _LOOPBACK
    except ValueError:
        return False


class BodyLimit:
    """Reads the whole body first and refuses one above the limit; every body here is a small JSON document."""

    def __init__(self, app: ASGIApp, limit: int = BODY_LIMIT) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its body read, or answer 400."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = await self._read(receive)
        if body is None:
            error = BadRequest(f"The body is larger than {self._limit // 1024} kB.", "Ask a shorter question.")
            await error_response(error, {"connection": "close"})(scope, receive, send)
            return
        await self._app(scope, _replay(body, receive), send)

    async def _read(self, receive: Receive) -> bytes | None:
        """Return the body, None where it is too large; a client that is gone already leaves what it had sent."""
        body = bytearray()
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > self._limit:
                return None
        return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a receive that gives the body that was read, then whatever comes after it."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return pending.pop() if pending else await receive()

    return replayed


class Journal:
    """Writes one line a request (never its text, never its token) and notes that the daemon is in use."""

    def __init__(self, app: ASGIApp, activity: Activity) -> None:
        self._app = app
        self._activity = activity

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and log method, path, status, milliseconds."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = time.perf_counter()
        status = 0

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            with self._activity.working() if scope["path"] not in LOOKING else nullcontext():
                await self._app(scope, receive, noting)
        finally:
            took = (time.perf_counter() - begun) * 1000
            # Quoted: a path may hold a newline, and a line of the log is one request.
            log.info("%s %s %s %.0f ms", scope["method"], quote(scope["path"]), status or "hung up", took)
