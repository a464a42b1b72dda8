"""`lorebook.ask` and `lorebook.search`: from a notebook or a script to the daemon and back."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from lorebook.answer import Answer
from lorebook.links import notebook_folder
from lorebook.live import Live, open_display
from lorebook.results import SearchResults
from lorebook_api.client import Client, TokenText, new_request_id
from lorebook_api.discovery import connect
from lorebook_api.errors import DaemonUnavailable, LorebookError
from lorebook_api.home import find_home
from lorebook_api.schema import AdapterUse, AskRequest, Kind, Progress, SearchRequest
from lorebook_api.schema import Answer as Body
from lorebook_api.typed import find_model, find_roots, parse_adapter

if TYPE_CHECKING:
    from lorebook.searching import SearchBox

Roots = str | Path | Sequence[str | Path] | None


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
) -> Answer:
    """Answer `question` from the files below `root` (a folder or several; the current one where None).

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
    )
    live = Live(open_display) if show and current_shell() is not None and not sys.stdout.isatty() else None
    answer = follow(request, live)
    if live:
        live.finish({"text/plain": ""})
    return answer


@overload
def search(query: None = None, root: Roots = None, *, k: int = 10, kind: Kind | None = None) -> SearchBox: ...


@overload
def search(query: str, root: Roots = None, *, k: int = 10, kind: Kind | None = None) -> SearchResults: ...


def search(
    query: str | None = None, root: Roots = None, *, k: int = 10, kind: Kind | None = None
) -> SearchResults | SearchBox:
    """Return the passages below `root` that fit `query` best, best first; without a query a widget to type one into.

    Raises LorebookError.
    """
    if query is None:
        return open_search_box(find_roots(several(root)), k, kind)
    request = SearchRequest(query, find_roots(several(root)), k, kind)
    response = reach().search(request)
    return SearchResults(response, request, notebook_folder(current_shell()))


def reach(report: Callable[[str], None] | None = None) -> Client:
    """Return a client of this user's daemon, which is started if need be; `report` is told what is being done."""
    return Client(connect(find_home(), report=report))


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


def current_shell() -> Any:
    """Return the IPython shell that this code runs in, None where it runs in none."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython else None


def open_search_box(roots: tuple[str, ...], k: int, kind: Kind | None) -> SearchBox:
    """Return the search widget."""
    from lorebook.searching import SearchBox  # anywidget: half a second that a search with a query does without

    return SearchBox(roots, k, kind)


def shown_by(shell: Any) -> Callable[[Any], str]:
    """Return what makes plain text of a value as IPython would show it."""

    def show(value: Any) -> str:
        bundle, _ = shell.display_formatter.format(value, include={"text/plain"})
        return str(bundle.get("text/plain", ""))

    return show


def adapter_uses(adapter: str | Sequence[str]) -> tuple[AdapterUse, ...]:
    """Return the adapters that `NAME` or `NAME:SCALE`, or several, mean; raises BadRequest for a bad scale."""
    return tuple(parse_adapter(name) for name in ([adapter] if isinstance(adapter, str) else adapter))


def several(root: Roots) -> Sequence[str | Path]:
    """Return the folders that were given, none for None."""
    if root is None:
        return ()
    return [root] if isinstance(root, str | Path) else root


def _describe(progress: Progress) -> str:
    return f"{progress.what} {100 * progress.done // progress.total}%" if progress.total else progress.what
