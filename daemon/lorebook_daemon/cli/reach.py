"""From a command to the daemon."""

from __future__ import annotations

from lorebook_api.client import Client
from lorebook_api.discovery import connect
from lorebook_api.home import find_home
from lorebook_daemon.cli.screen import Screen


def reach(screen: Screen, start: bool) -> Client:
    """Return a client of this user's daemon, which is started if need be; raises DaemonUnavailable."""
    return Client(connect(find_home(), start, screen.say))
