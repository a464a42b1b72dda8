"""JSON of the daemon, made into the dataclasses of the contract."""

from __future__ import annotations

from collections.abc import Hashable
from functools import cache
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from lorebook_api.errors import LorebookError

T = TypeVar("T")


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def decode(kind: type[T], payload: Any) -> T:
    """Return `payload` (parsed JSON) as a `kind` of the schema; raises LorebookError where it has another shape."""
    try:
        decoded: T = _adapter(cast(Hashable, kind)).validate_python(payload)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        message = f"the daemon sent a {kind.__name__} that is not one ({where}: {first['msg']})."
        raise LorebookError(message, "Are both of one version? Type: lorebook stop, then try again.") from error
    return decoded
