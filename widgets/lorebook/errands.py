"""Work of a widget off the kernel's main thread: a click returns at once, and what fails is told in the widget."""

from __future__ import annotations

import threading
from collections.abc import Callable

from lorebook.channel import Message
from lorebook_api.errors import LorebookError

Post = Callable[[Message], None]
"""Takes a message to every page."""


def failure(error: LorebookError) -> Message:
    """Return an error as the front end takes it."""
    return {"message": error.message, "hint": error.hint, "type": error.type}


def run_errand(work: Callable[[], None], post: Post, name: str) -> threading.Thread:
    """Start `work` in a thread that ends with the kernel; a LorebookError is posted as a `notice`."""

    def told() -> None:
        try:
            work()
        except LorebookError as error:
            post({"type": "notice", "failure": failure(error)})

    thread = threading.Thread(target=told, name=f"lorebook-{name}", daemon=True)
    thread.start()
    return thread
