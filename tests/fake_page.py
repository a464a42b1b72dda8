"""What a page does with a widget: it clicks, it shows values, and what it waits for comes about."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from lorebook.widget import LorebookWidget


def click(widget: LorebookWidget, number: int, **message: Any) -> None:
    """Send the page's message of that number."""
    widget._hear(widget, {"page": "p", "n": number, "message": message}, [])


def values(widget: Any) -> dict[str, Any]:
    """Return what the page is told to show."""
    shown: dict[str, Any] = widget._state.values
    return shown


def eventually(holds: Callable[[], Any]) -> None:
    """Wait until something holds, ten seconds at the most."""
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.01)
