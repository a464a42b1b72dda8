"""`lorebook.index()`: what is indexed, what was left out and why; update, index anew, pause."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from typing import Any

from lorebook.asking import Roots, several
from lorebook.channel import Message
from lorebook.errands import run_errand
from lorebook.reaching import reach
from lorebook.state import WidgetState
from lorebook.widget import deed_of
from lorebook.working import WorkingWidget
from lorebook_api.indexing import IndexReport, IndexRequest, Progress
from lorebook_api.state import Status
from lorebook_api.typed import find_roots


def index(root: Roots = None) -> IndexView:
    """Bring the index of `root` (a folder or several; the current one where None) up to date, and show what it holds.

    Returns at once; `.wait()` returns when it is up to date. Raises LorebookError for a folder that cannot be.
    """
    view = IndexView(find_roots(several(root)))
    view.update()
    return view


class IndexView(WorkingWidget):
    """What the indexes of `roots` hold; `reports` are those of the last update, by root."""

    _busy = ("The index is being brought up to date.", "Wait for its end.")

    def __init__(self, roots: tuple[str, ...]) -> None:
        self._roots = roots
        self._reports: dict[str, IndexReport] = {}
        self._state = WidgetState(
            roots=list(roots), infos=[], work=[], paused=False, watched=[], reports=[], updating=False, progress=None
        )
        super().__init__("index", self._state)

    @property
    def reports(self) -> tuple[IndexReport, ...]:
        """What the last update found, a report for each root that it has come to."""
        return tuple(self._reports[root] for root in self._roots if root in self._reports)

    def update(self, full: bool = False) -> None:
        """Read what changed, or everything anew, in a thread. Raises Conflict while that is being done already."""

        def start() -> threading.Thread:
            self._show(updating=True, progress=asdict(Progress("looking for changes")))
            return run_errand(lambda: self._update(full), self.channel.post, "index")

        self._begin(start)

    def pause(self) -> None:
        """Hold all indexing, until `resume` or the daemon's end."""
        self._run(lambda: reach().pause_index())

    def resume(self) -> None:
        """Go on with what `pause` held."""
        self._run(lambda: reach().resume_index())

    def refresh(self) -> None:
        """Look at what the daemon says."""
        self._run(lambda: None)

    def act(self, message: Message) -> None:
        """Do what a page asks for."""
        deed_of(_DEEDS, message)(self)

    def static_text(self) -> str:
        """Return what the last update found."""
        lines = [line for report in self.reports for line in _described(report)]
        return "\n".join(lines or [f"{', '.join(self._roots)}: being brought up to date; .wait() waits for it."])

    def _run(self, deed: Callable[[], None]) -> None:
        def work() -> None:
            deed()
            self._show_status(reach().status())

        run_errand(work, self.channel.post, "index")

    def _update(self, full: bool) -> None:
        try:
            with closing(reach().index(IndexRequest(self._roots, full))) as events:
                for event in events:
                    if isinstance(event, IndexReport):
                        self._reports[event.root] = event
                        self._show(reports=[asdict(report) for report in self.reports])
                    elif isinstance(event, Progress):
                        self._show(progress=asdict(event))
            self._show_status(reach().status())
        finally:
            self._show(updating=False, progress=None)

    def _show_status(self, status: Status) -> None:
        mine = [info for info in status.roots if info.root in self._roots]
        work = [one for one in status.index_work if one.root in self._roots]
        self._show(
            infos=[asdict(info) for info in mine],
            work=[asdict(one) for one in work],
            paused=status.index_paused,
            watched=[root for root in status.watched if root in self._roots],
        )

    def _show(self, **values: Any) -> None:
        if any(self._state.values.get(name) != value for name, value in values.items()):
            super()._show(**values)


_DEEDS: dict[str, Callable[[IndexView], None]] = {
    "update": IndexView.update,
    "full": lambda view: view.update(full=True),
    "pause": IndexView.pause,
    "resume": IndexView.resume,
    "refresh": IndexView.refresh,
}
"""What a page may ask for."""


def _described(report: IndexReport) -> list[str]:
    head = (
        f"{report.root}: {report.files} files, {report.passages} passages; {report.added} added, "
        f"{report.changed} changed, {report.removed} removed, {len(report.skipped)} skipped, {report.seconds:.1f} s"
    )
    return [head, *(f"  skipped {one.path}: {one.why}" for one in report.skipped)]
