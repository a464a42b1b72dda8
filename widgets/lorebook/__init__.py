"""lorebook in a notebook: `ask`, `search` and `teach`; `%load_ext lorebook` brings `%ask`, `%teach` and `%lore`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lorebook.answer import Answer
    from lorebook.asking import ask, search
    from lorebook.chatting import Chat, chat
    from lorebook.classifying import Classes, classify
    from lorebook.evaluating import EvaluateView, evaluate
    from lorebook.indexing import IndexView, index
    from lorebook.job import Job
    from lorebook.results import SearchResults
    from lorebook.searching import SearchBox
    from lorebook.teaching import teach
    from lorebook.teachview import TeachWidget, examples
    from lorebook.voting import Arena, arena

__all__ = [
    "Answer",
    "Arena",
    "Chat",
    "Classes",
    "EvaluateView",
    "IndexView",
    "Job",
    "SearchBox",
    "SearchResults",
    "TeachWidget",
    "arena",
    "ask",
    "chat",
    "classify",
    "evaluate",
    "examples",
    "index",
    "load_ipython_extension",
    "search",
    "teach",
    "unload_ipython_extension",
]

_HOMES = {
    "Answer": "lorebook.answer",
    "Arena": "lorebook.voting",
    "Chat": "lorebook.chatting",
    "Classes": "lorebook.classifying",
    "EvaluateView": "lorebook.evaluating",
    "IndexView": "lorebook.indexing",
    "Job": "lorebook.job",
    "SearchBox": "lorebook.searching",
    "SearchResults": "lorebook.results",
    "TeachWidget": "lorebook.teachview",
    "arena": "lorebook.voting",
    "ask": "lorebook.asking",
    "chat": "lorebook.chatting",
    "classify": "lorebook.classifying",
    "evaluate": "lorebook.evaluating",
    "examples": "lorebook.teachview",
    "index": "lorebook.indexing",
    "search": "lorebook.asking",
    "teach": "lorebook.teaching",
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
