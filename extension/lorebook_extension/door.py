"""The way to the daemon: found or started off the event loop, once for all requests that wait for it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from lorebook_api.home import find_home

if TYPE_CHECKING:
    from lorebook_api.discovery import Daemon


class Door:
    """Finds the user's daemon; starts it where none runs, unless `start` is False."""

    def __init__(self, start: bool) -> None:
        self._start = start
        self._search: asyncio.Task[Daemon] | None = None

    async def find_daemon(self) -> Daemon:
        """Return a daemon that answers; raises what `lorebook_api.discovery.connect` raises.

        Who comes while a search is on waits for that one: a page full of requests takes one thread, not all of them.
        A waiter that is cancelled leaves the search to the others.
        """
        if self._search is None or self._search.done():
            self._search = asyncio.create_task(asyncio.to_thread(_connect, self._start))
            self._search.add_done_callback(_mark_seen)
        return await asyncio.shield(self._search)


def _connect(start: bool) -> Daemon:
    # Here, in the thread: it brings httpx, which would add a tenth of a second to the start of every Jupyter Server.
    from lorebook_api.discovery import connect

    return connect(find_home(), start)


def _mark_seen(search: asyncio.Task[Daemon]) -> None:
    """Look at the search's error, which asyncio else reports where every waiter has gone."""
    if not search.cancelled():
        search.exception()
