"""The schema of each body is built once in a process: FastAPI builds a hundred anew for each app.

Nearly every test of the daemon's edge has an app of its own, and their schemas took most of the time of such a test.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import pytest
from fastapi._compat import v2
from pydantic import TypeAdapter

_KNOWN: dict[Any, TypeAdapter[Any]] = {}


def known_adapter(annotated: Any, *, config: Any = None) -> TypeAdapter[Any]:
    """Return `TypeAdapter(annotated, config=config)`, the one that was made before for the same or a new one."""
    body, *metadata = get_args(annotated)
    # An adapter holds on to its metadata, so that no other object comes to the address that a `repr` may show.
    key = (body, repr(metadata), repr(config))
    if key not in _KNOWN:
        _KNOWN[key] = TypeAdapter(annotated, config=config)
    return _KNOWN[key]


@pytest.fixture(autouse=True, scope="session")
def known_schemas() -> Iterator[None]:
    """Let FastAPI take the schemas that it made before."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(v2, "TypeAdapter", known_adapter)
        yield
