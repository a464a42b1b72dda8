"""`lorebook.ask` and `lorebook.search`: from a notebook or a script to the daemon and back."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack, overload

from lorebook.answer import Answer
from lorebook.links import notebook_folder
from lorebook.live import Live, open_display
from lorebook.reaching import current_shell, reach
from lorebook.results import SearchResults
from lorebook_api.asking import AdapterUse, AskRequest
from lorebook_api.asking import Answer as Body
from lorebook_api.client import TokenText, new_request_id
from lorebook_api.errors import DaemonUnavailable, LorebookError
from lorebook_api.indexing import Progress
from lorebook_api.retrieval import Filters, Kind, SearchRequest
from lorebook_api.typed import find_filters, find_model, find_roots, parse_adapter

if TYPE_CHECKING:
    from lorebook.searching import SearchBox

Roots = str | Path | Sequence[str | Path] | None
Names = str | Sequence[str]


class Within(TypedDict, total=False):
    """What may be found, each a value or several; what is given must all hold."""

    path: Names
    """Globs as `.gitignore` writes them, from the root on: `src/`, `*.md`; `!tests/` takes out."""
    language: Names
    since: str
    """How long ago (`30min`, `12h`, `7d`, `2w`), or a date: only files that changed since."""
    notebook: Names
    tag: Names
    """Tags of a notebook's cells."""


def ask(
    question: str,
    root: Roots = None,
    *,
    model: str = "auto",
    adapter: str | Sequence[str] = (),
    k: int = 6,
    max_tokens: int = 320,
    grounding: bool = True,
    show: bool = True,
    kind: Kind | None = None,
    **within: Unpack[Within],
) -> Answer:
    """Answer `question` from the files below `root` (a folder or several; the current one where None).

    `kind` and `within` (path, language, since, notebook, tag) narrow what may be looked at.
    `adapter` is `NAME` or `NAME:SCALE`, or several; `grounding=False` asks the model alone. In a notebook the text is
    shown as it comes unless `show` is False, and makes way for the Answer that is returned. Raises LorebookError;
    an interrupt takes the question back.
    """
    request = AskRequest(
        question=question,
        roots=find_roots(several(root)) if grounding else (),
        model=find_model(model),
        adapters=adapter_uses(adapter),
        k=k,
        max_tokens=max_tokens,
        grounding=grounding,
        request_id=new_request_id(),
        filters=narrowed(within, kind),
    )
    live = Live(open_display) if show and current_shell() is not None and not sys.stdout.isatty() else None
    answer = follow(request, live)
    if live:
        live.finish({"text/plain": ""})
    return answer


@overload
def search(
    query: None = None, root: Roots = None, *, k: int = 10, kind: Kind | None = None, **within: Unpack[Within]
) -> SearchBox: ...


@overload
def search(
    query: str, root: Roots = None, *, k: int = 10, kind: Kind | None = None, **within: Unpack[Within]
) -> SearchResults: ...


def search(
    query: str | None = None, root: Roots = None, *, k: int = 10, kind: Kind | None = None, **within: Unpack[Within]
) -> SearchResults | SearchBox:
    """Return the passages below `root` that fit `query` best, best first; without a query a widget to type one into.

    `kind` and `within` (path, language, since, notebook, tag) narrow what may be found. Raises LorebookError.
    """
    request = SearchRequest(query or "", find_roots(several(root)), k, kind, filters=narrowed(within))
    if query is None:
        return open_search_box(request)
    response = reach().search(request)
    return SearchResults(response, request, notebook_folder(current_shell()))


def follow(request: AskRequest, live: Live | None) -> Answer:
    """Ask, show in `live` what happens, and return the answer; an interrupt takes the question back and goes on."""
    client = reach(live.note if live else None)
    try:
        with closing(client.ask(request)) as events:
            for event in events:
                match event:
                    case Body():
                        return Answer(event, request, notebook_folder(current_shell()))
                    case TokenText() if live:
                        live.add(event.text)
                    case Progress() if live:
                        live.note(_describe(event))
                    case _:
                        pass  # the sources come again with the answer
    except KeyboardInterrupt:
        with suppress(LorebookError):  # a daemon that is gone has nothing left to take back
            client.cancel(request.request_id)
        if live:
            live.stop("stopped")
        raise
    except LorebookError:
        if live:
            live.stop("broke off")
        raise
    raise DaemonUnavailable("the daemon sent no answer.", "See `lorebook logs`.")


def open_search_box(request: SearchRequest) -> SearchBox:
    """Return the search widget, for searches that are like `request` but for what is typed."""
    from lorebook.searching import SearchBox  # anywidget: half a second that a search with a query does without

    return SearchBox(request.roots, request.k, request.kind, request.filters)


def adapter_uses(adapter: str | Sequence[str]) -> tuple[AdapterUse, ...]:
    """Return the adapters that `NAME` or `NAME:SCALE`, or several, mean; raises BadRequest for a bad scale."""
    return tuple(parse_adapter(name) for name in ([adapter] if isinstance(adapter, str) else adapter))


def narrowed(within: Within, kind: Kind | None = None) -> Filters:
    """Return the filters that were given; raises BadRequest for one that is none."""
    return find_filters(
        paths=_names(within.get("path", ())),
        kinds=(kind,) if kind else (),
        languages=_names(within.get("language", ())),
        since=within.get("since"),
        notebooks=_names(within.get("notebook", ())),
        tags=_names(within.get("tag", ())),
    )


def _names(given: Names) -> Sequence[str]:
    return [given] if isinstance(given, str) else given


def several(root: Roots) -> Sequence[str | Path]:
    """Return the folders that were given, none for None."""
    if root is None:
        return ()
    return [root] if isinstance(root, str | Path) else root


def _describe(progress: Progress) -> str:
    return f"{progress.what} {100 * progress.done // progress.total}%" if progress.total else progress.what
