"""The daemon's own packages, which are an extra: a command that needs them says so where they are missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from lorebook_api.errors import DaemonUnavailable


@contextmanager
def daemon_packages() -> Iterator[None]:
    """Import inside what needs them; raises DaemonUnavailable, which names the first that is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("lorebook"):
            raise
        message = f"the daemon's packages are not installed ({error.name} is missing)."
        raise DaemonUnavailable(message, "Type: pip install 'lorebook[daemon]'") from error
