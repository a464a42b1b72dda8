"""Errors become HTTP answers here, once, by class."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from lorebook_api.errors import BadRequest, LorebookError, NotFound

log = logging.getLogger(__name__)


def error_response(error: LorebookError, headers: Mapping[str, str] | None = None) -> Response:
    """Return the error's body with its true status."""
    body = json.dumps(error.body())
    return Response(body, error.status, headers, media_type="application/json")


def described(error: Exception) -> LorebookError:
    """Return `error` as a person can be told; one that nobody foresaw goes to the log with its traceback."""
    if isinstance(error, LorebookError):
        return error
    log.error("unforeseen", exc_info=error)
    return LorebookError("The daemon met an error of its own.", "See `lorebook logs`.")


async def _told(request: Request, error: LorebookError) -> Response:
    return error_response(error)


async def _invalid(request: Request, error: RequestValidationError) -> Response:
    """Say which field is wrong; what was sent is not repeated, it may be private."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part != "body") or "the body"
    return error_response(BadRequest(f"{where}: {first['msg']}.", "Send JSON with `Content-Type: application/json`."))


async def _http(request: Request, error: HTTPException) -> Response:
    """Give what the framework raises (no such path, wrong method, a body it cannot read) the shape of all errors."""
    kind = NotFound if error.status_code == 404 else BadRequest
    message = f"{request.method} {request.url.path}: {error.detail}."
    failure = kind(message, "Is the daemon of another version? `lorebook stop`, then try again.")
    failure.status = error.status_code
    return error_response(failure, error.headers)


async def _unforeseen(request: Request, error: Exception) -> Response:
    """Answer only: the server logs the traceback after this."""
    return error_response(LorebookError("The daemon met an error of its own.", "See `lorebook logs`."))


EXCEPTION_HANDLERS: dict[int | type[Exception], Callable[[Request, Any], Coroutine[Any, Any, Response]]] = {
    LorebookError: _told,
    RequestValidationError: _invalid,
    HTTPException: _http,
    Exception: _unforeseen,
}
"""Looked up along the class's MRO: a subclass of LorebookError needs no line of its own."""
