"""What training needs and asking does not: whether it is installed."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

from lorebook_api.errors import NotFound

WANTED = ("torch", "peft", "gguf")


def missing(wanted: Sequence[str] = WANTED) -> list[str]:
    """Return the packages that are wanted, by training or a part of it, and not installed."""
    return [name for name in wanted if find_spec(name) is None]


def check_installed(wanted: Sequence[str] = WANTED) -> None:
    """Raise NotFound where one of them is missing."""
    lacking = missing(wanted)
    if lacking:
        what, package = ("Teaching", "'lorebook[train]'") if "torch" in wanted else ("This", " ".join(lacking))
        told = f"{what} needs {' and '.join(lacking)}, which this installation does not have."
        raise NotFound(told, f"Install what it needs: pip install {package}")
