"""Blocking work off the event loop: its progress comes back into the loop, a cancelled waiter stops it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

from lorebook_api.errors import Cancelled
from lorebook_api.indexing import Progress
from lorebook_daemon.app.engines import Report

T = TypeVar("T")


async def in_thread(work: Callable[[Report], T], report: Report) -> T:
    """Run `work` in a thread and return its result; it reports through the argument that it is given.

    When the waiter is cancelled, the next report that the work makes raises Cancelled inside it.
    """
    loop = asyncio.get_running_loop()
    gone = threading.Event()

    def relay(progress: Progress) -> None:
        if gone.is_set():
            raise Cancelled("The request was taken back.")
        loop.call_soon_threadsafe(report, progress)

    try:
        return await asyncio.to_thread(work, relay)
    finally:
        gone.set()
