"""Libraries that not every installation has."""

from __future__ import annotations

import importlib
from types import ModuleType

from lorebook_daemon.index.passage import Unreadable


def optional(module: str, what: str) -> ModuleType:
    """Return the module. Where it is not installed, raises Unreadable with what to type; `what` is the file's kind."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise Unreadable(f"{what}: pip install 'lorebook[documents]', then: lorebook index --full") from error
