"""What training needs and asking does not: whether it is installed."""

from __future__ import annotations

from importlib.util import find_spec

from lorebook_api.errors import NotFound

WANTED = ("torch", "peft", "gguf")


def missing() -> list[str]:
    """Return the packages that training needs and that are not installed."""
    return [name for name in WANTED if find_spec(name) is None]


def check_installed() -> None:
    """Raise NotFound where one of them is missing."""
    lacking = missing()
    if lacking:
        told = f"Teaching needs {' and '.join(lacking)}, which this installation does not have."
        raise NotFound(told, "Install what it needs: pip install 'lorebook[train]'")
