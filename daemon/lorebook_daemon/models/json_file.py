"""A small JSON object on disk that several processes read and change."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filelock import FileLock

from lorebook_api.errors import StorageFailed


def read_object(path: Path) -> dict[str, Any]:
    """Return the object in `path`; empty where the file is missing or holds something else."""
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def change_object(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Let `change` alter the object in `path`, one process at a time, and replace the file whole.

    Raises StorageFailed where the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            value = read_object(path)
            change(value)
            fresh = path.with_suffix(".new")
            fresh.write_text(json.dumps(value, indent=1, sort_keys=True), encoding="utf-8")
            fresh.replace(path)
    except OSError as error:
        raise StorageFailed(
            f"{path} cannot be written ({error.strerror or error}).", "Free some space, or set LOREBOOK_HOME."
        ) from error
