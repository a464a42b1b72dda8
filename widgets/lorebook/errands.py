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
    return _run(work, lambda error: post({"type": "notice", "failure": failure(error)}), name)


def run_work(work: Callable[[], None], post: Post, name: str) -> threading.Thread:
    """Start work that a person waits for: a LorebookError stays in the field `failure`, until other work begins."""

    def tell(error: LorebookError | None) -> None:
        post({"type": "set", "values": {"failure": failure(error) if error else None}})

    tell(None)
    return _run(work, tell, name)


def _run(work: Callable[[], None], tell: Callable[[LorebookError], None], name: str) -> threading.Thread:
    def guarded() -> None:
        try:
            work()
        except LorebookError as error:
            tell(error)

    thread = threading.Thread(target=guarded, name=f"lorebook-{name}", daemon=True)
    thread.start()
    return thread


def told(failed: Message | None) -> str:
    """Return a failure, as the front end takes it, in a line; empty for none."""
    return f"{failed['message']} {failed['hint']}".strip() if failed else ""
