"""Where this code runs: the shell around it, and the daemon that it talks to."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from lorebook_api.client import Client
from lorebook_api.discovery import connect
from lorebook_api.home import find_home


def reach(report: Callable[[str], None] | None = None) -> Client:
    """Return a client of this user's daemon, which is started if need be; `report` is told what is being done."""
    return Client(connect(find_home(), report=report))


def current_shell() -> Any:
    """Return the IPython shell that this code runs in, None where it runs in none."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython else None


def shown_by(shell: Any) -> Callable[[Any], str]:
    """Return what makes plain text of a value as IPython would show it."""

    def show(value: Any) -> str:
        bundle, _ = shell.display_formatter.format(value, include={"text/plain"})
        return str(bundle.get("text/plain", ""))

    return show
