"""One tree of errors, drawn here and mapped to HTTP and to exit codes once.

LorebookError (500)
├── BadRequest (400)            the caller asked for something that cannot be
│   └── TooLong (400)           the question alone does not fit the context
├── Unauthorized (401)          no token, or a wrong one
├── Forbidden (403)             a foreign Host or Origin
├── NotFound (404)              a root, a model, an adapter that is not there
├── Conflict (409)              somebody else is at it: two indexers on one root, a port in use
├── Unusable (422)              a file that is there but cannot be used: truncated GGUF, wrong checksum
├── StorageFailed (507)         disk full, folder read-only
├── EngineDied (502)            the engine's process ended while it worked for this request
├── EngineFailed (500)          the engine said no
├── Cancelled (499)             the caller took the request back
└── DaemonUnavailable (503)     no daemon answers and none could be started
"""

from __future__ import annotations

from typing import Any


class LorebookError(Exception):
    """Something a person can be told in one line: what is wrong, and what to type next."""

    status = 500
    type = "internal_error"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()

    def body(self) -> dict[str, Any]:
        """Return the error as it stands on the wire: `{"error": {code, message, type, hint}}`."""
        return {"error": {"code": self.status, "message": self.message, "type": self.type, "hint": self.hint}}


class BadRequest(LorebookError):
    """The caller asked for something that cannot be."""

    status = 400
    type = "invalid_request_error"


class TooLong(BadRequest):
    """The question alone does not fit the model's context."""

    type = "exceeds_context_size_error"


class Unauthorized(LorebookError):
    """The token is missing or wrong."""

    status = 401
    type = "authentication_error"


class Forbidden(LorebookError):
    """The request came with a foreign Host or Origin, or through a door that the person has not opened."""

    status = 403
    type = "permission_error"


class NotFound(LorebookError):
    """A root, a model or an adapter that is not there."""

    status = 404
    type = "not_found_error"


class Conflict(LorebookError):
    """Somebody else is at it already."""

    status = 409
    type = "conflict_error"


class Unusable(LorebookError):
    """A file that is there but cannot be used."""

    status = 422
    type = "unusable_file_error"


class StorageFailed(LorebookError):
    """The disk is full or the folder cannot be written."""

    status = 507
    type = "storage_error"


class EngineDied(LorebookError):
    """The engine's process ended while it worked for this request."""

    status = 502
    type = "engine_died_error"


class EngineFailed(LorebookError):
    """The engine could not do what it was asked."""

    type = "engine_error"


class Cancelled(LorebookError):
    """The caller took the request back."""

    status = 499
    type = "cancelled"


class DaemonUnavailable(LorebookError):
    """No daemon answers and none could be started."""

    status = 503
    type = "unavailable_error"


def _tree(root: type[LorebookError]) -> list[type[LorebookError]]:
    return [root, *(leaf for branch in root.__subclasses__() for leaf in _tree(branch))]


def from_body(body: Any, status: int) -> LorebookError:
    """Rebuild the error that `LorebookError.body` wrote; an unknown shape becomes a plain LorebookError."""
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        failure = LorebookError(f"the daemon answered HTTP {status}", "See `lorebook logs`.")
        failure.status = status
        return failure
    kinds = {kind.type: kind for kind in _tree(LorebookError)}
    kind = kinds.get(str(error.get("type")), LorebookError)
    return kind(str(error.get("message", "")), str(error.get("hint", "")))
