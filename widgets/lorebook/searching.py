"""`lorebook.search()` without a query: type, and see the passages."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import cast, get_args

from lorebook.channel import Message
from lorebook.errands import run_errand
from lorebook.links import notebook_folder
from lorebook.reaching import current_shell, reach
from lorebook.results import SearchResults
from lorebook.state import WidgetState
from lorebook.widget import LorebookWidget
from lorebook_api.errors import BadRequest
from lorebook_api.markdown import plain
from lorebook_api.retrieval import Filters, Kind, SearchRequest


class SearchBox(LorebookWidget):
    """Searches the files below `roots` while a person types; `results` are those of the last query."""

    def __init__(
        self, roots: tuple[str, ...], k: int = 10, kind: Kind | None = None, filters: Filters | None = None
    ) -> None:
        self._request = SearchRequest("", roots, k, kind, filters=filters or Filters())
        self._results: SearchResults | None = None
        self._lock = threading.Lock()
        self._asked = 0
        self._state = WidgetState(
            roots=list(roots), query="", kind=kind or "", kinds=list(get_args(Kind)), results=[], told="", failure=None
        )
        super().__init__("search", self._state)

    @property
    def results(self) -> SearchResults | None:
        """The passages of the last query, None before the first."""
        return self._results

    def search(self, query: str, kind: Kind | None = None) -> threading.Thread:
        """Search in a thread, which is returned; of several searches at once the last is shown."""
        if kind is not None and kind not in get_args(Kind):
            raise BadRequest(f"{kind!r} is no kind of file.", f"There are: {', '.join(get_args(Kind))}")
        with self._lock:
            self._asked += 1
            mine = self._asked
        request = replace(self._request, query=query, kind=kind)
        self._show(query=query, kind=kind or "", told="searching …" if query.strip() else "", failure=None)
        if not query.strip():
            self._show(results=[])
        return run_errand(lambda: self._search(request, mine), self.channel.post, "search")

    def act(self, message: Message) -> None:
        """Search for what a page sends."""
        self.search(str(message.get("query", "")), cast(Kind, message.get("kind")) or None)

    def static_text(self) -> str:
        """Return the last results, and how to search where no widget is shown."""
        shown = [repr(self._results)] if self._results is not None else []
        return "\n\n".join([f"A search of {', '.join(self._request.roots)}.", *shown, _NO_FRONT_END])

    def static_markdown(self) -> str:
        """Return the same as Markdown, with links to the passages."""
        shown = [self._results._repr_mimebundle_()["text/markdown"]] if self._results is not None else []
        return "\n\n".join([plain(f"A search of {', '.join(self._request.roots)}."), *shown, plain(_NO_FRONT_END)])

    def _search(self, request: SearchRequest, mine: int) -> None:
        if not request.query.strip():
            return
        try:
            response = reach().search(request)
        finally:
            self._if_last(mine, lambda: self._show(told=""))
        self._if_last(mine, lambda: self._keep(SearchResults(response, request, notebook_folder(current_shell()))))

    def _keep(self, results: SearchResults) -> None:
        self._results = results
        body = results.body
        count = "1 passage" if len(results) == 1 else f"{len(results)} passages"
        told = " · ".join([count if results else "Nothing found", f"{body.took_ms:.0f} ms", *body.notices])
        self._show(results=[asdict(result) for result in results], told=told)

    def _if_last(self, mine: int, deed: Callable[[], None]) -> None:
        with self._lock:
            if mine == self._asked:
                deed()


_NO_FRONT_END = (
    "The widget shows in JupyterLab, Notebook 7, VS Code and Colab. Elsewhere: lorebook.search('what to look for')"
)
