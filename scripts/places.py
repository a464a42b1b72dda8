"""Where the set-up keeps things: the environment, the build tree, the wheels worth keeping."""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = ROOT / "constraints.txt"
VENV = ROOT / ".venv"
BUILD = ROOT / ".lorebook-build"


def python_of(environment: Path) -> Path:
    """Return the interpreter of a virtual environment."""
    return environment / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def find_wheel_cache() -> Path:
    """Return the folder of built wheels: below `LOREBOOK_HOME` where set, else in the user's cache.

    It lies outside the checkout so that a second clone does not build again. The rule is that of
    `lorebook_api.home`, which cannot be imported yet: platformdirs is not installed at this point.
    """
    moved = os.environ.get("LOREBOOK_HOME")
    if moved:
        return Path(moved).expanduser().absolute() / "cache" / "wheels"
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
        return Path(local) / "lorebook" / "Cache" / "wheels"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "lorebook" / "wheels"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lorebook" / "wheels"
