"""How a request's body is read: exact types, finite numbers, whole Unicode, and no parameter that nobody honours."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any, TypeVar

from fastapi import Request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails, from_json

from lorebook_api.errors import BadRequest

COUNT_MOST = 2**31 - 1
"""The largest token and the largest number of tokens."""

_HINT = "docs/openai.md lists what is accepted."


def _no_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("the text holds a NUL character")
    return text


def _finite(value: dict[str, Any]) -> dict[str, Any]:
    json.dumps(value, allow_nan=False)  # raises ValueError: 1e999 was read as infinity
    return value


Text = Annotated[str, AfterValidator(_no_nul)]
Object = Annotated[dict[str, Any], AfterValidator(_finite)]
Token = Annotated[int, Field(ge=0, le=COUNT_MOST)]
Tokens = tuple[Token, ...]


class Body(BaseModel):
    """A body, or a part of one, that may hold nothing but the parameters named in it."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Copied(BaseModel):
    """A part that clients copy out of earlier answers: what it holds beside the named fields tells a model nothing."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, allow_inf_nan=False)


B = TypeVar("B", bound=Body)


async def read(kind: type[B], request: Request) -> B:
    """Return the request's body; raises BadRequest for one that is not JSON, or naming the parameter that is wrong."""
    raw = await request.body()
    try:
        from_json(raw, allow_inf_nan=False)  # NaN and Infinity, which are not JSON, wherever they stand
        return kind.model_validate_json(raw)
    except ValidationError as error:
        raise _refused(error.errors(include_url=False, include_input=False)) from error
    except ValueError as error:
        raise BadRequest(f"The body is not JSON in UTF-8: {error}.", "Send one JSON object.") from error


def _refused(errors: Sequence[ErrorDetails]) -> BadRequest:
    """Return what is wrong in one line; what was sent is not repeated, it may be private."""
    unknown = [_place(error) for error in errors if error["type"] == "extra_forbidden"]
    if unknown:
        return BadRequest(f"Not supported here: {', '.join(unknown[:5])}.", _HINT)
    # Of a union's errors, one of the alternative whose type was right tells more than those of the others.
    error = next((error for error in errors if not error["type"].endswith("_type")), errors[0])
    said = error["msg"].removeprefix("Value error, ")
    return BadRequest(f"{_place(error) or 'the body'}: {said}.", _HINT)


def _place(error: ErrorDetails) -> str:
    """Return the path to a field on one line: keys are the caller's own text, a union's alternatives are left out."""
    parts = [ascii(part)[1:-1] if isinstance(part, str) else str(part) for part in error["loc"]]
    return ".".join(part for part in parts if not part.startswith(("tuple[", "function-", "constrained-", "[")))
