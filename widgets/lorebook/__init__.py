"""lorebook in a notebook: `ask` and `search` your own files; `%load_ext lorebook` brings `%ask`, `%%ask`, `%lore`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lorebook.answer import Answer
    from lorebook.asking import ask, search
    from lorebook.chatting import Chat, chat
    from lorebook.indexing import IndexView, index
    from lorebook.results import SearchResults
    from lorebook.searching import SearchBox

__all__ = [
    "Answer",
    "Chat",
    "IndexView",
    "SearchBox",
    "SearchResults",
    "ask",
    "chat",
    "index",
    "load_ipython_extension",
    "search",
    "unload_ipython_extension",
]

_HOMES = {
    "Answer": "lorebook.answer",
    "Chat": "lorebook.chatting",
    "IndexView": "lorebook.indexing",
    "SearchBox": "lorebook.searching",
    "SearchResults": "lorebook.results",
    "ask": "lorebook.asking",
    "chat": "lorebook.chatting",
    "index": "lorebook.indexing",
    "search": "lorebook.asking",
}


def __getattr__(name: str) -> Any:
    """Import what is first used when it is first used (PEP 562): the HTTP client alone takes a quarter of a second."""
    if name not in _HOMES:
        raise AttributeError(f"module 'lorebook' has no attribute {name!r}")
    found = getattr(import_module(_HOMES[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__


def load_ipython_extension(shell: Any) -> None:
    """Bring the magics into an IPython shell (`%load_ext lorebook`)."""
    import_module("lorebook.magics").load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """Take the hooks of the magics away again (`%unload_ext lorebook`)."""
    import_module("lorebook.magics").unload(shell)
