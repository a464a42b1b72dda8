"""lorebook in Jupyter Server: `/lorebook/*` is forwarded to the user's daemon, behind Jupyter's own login."""

from __future__ import annotations

from typing import Any


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    """Tell Jupyter Server which app to load."""
    # Here, so that the front end's files can be found where Jupyter Server is not installed.
    from lorebook_extension.app import LorebookApp

    return [{"module": "lorebook_extension", "app": LorebookApp}]


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    """Tell `jupyter labextension develop` where the front end lies once `make frontend` has built it."""
    return [{"src": "labextension", "dest": "lorebook-lab"}]
