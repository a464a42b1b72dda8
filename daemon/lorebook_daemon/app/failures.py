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


async def _told(request: Request, error: Exception) -> Response:
    return error_response(described(error))


async def _invalid(request: Request, error: Exception) -> Response:
    """Say which field is wrong; what was sent is not repeated, it may be private."""
    problems = error.errors() if isinstance(error, RequestValidationError) else []
    first = problems[0] if problems else {"loc": ("body",), "msg": "is not valid"}
    where = ".".join(str(part) for part in first["loc"] if part != "body") or "the body"
    return error_response(BadRequest(f"{where}: {first['msg']}.", "Send JSON with `Content-Type: application/json`."))


async def _http(request: Request, error: Exception) -> Response:
    """Give what the router raises (no such path, wrong method) the same shape as everything else."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    kind = NotFound if status == 404 else BadRequest
    failure = kind(f"{request.method} {request.url.path} is not something this daemon does.", "See `lorebook --help`.")
    failure.status = status
    return error_response(failure, getattr(error, "headers", None))


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
