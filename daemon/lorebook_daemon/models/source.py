"""What the places have in common that a model's bytes can come from."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from lorebook_api.indexing import Progress
from lorebook_daemon.models.catalogue import KnownFile
from lorebook_daemon.models.partial import Partial

Report = Callable[[Progress], None]
"""Is told how far a download is, in bytes. It may raise, which stops the download; what has come is kept."""


_BETWEEN_REPORTS_S = 0.1


def calmly(report: Report) -> Report:
    """Return `report` so that it hears of a new piece of work, of its end, and else ten times a second at the most."""
    what, last = "", 0.0

    def pass_on(progress: Progress) -> None:
        nonlocal what, last
        now = time.monotonic()
        if progress.what != what or progress.done >= progress.total or now - last >= _BETWEEN_REPORTS_S:
            what, last = progress.what, now
            report(progress)

    return pass_on


class SourceFailed(Exception):
    """A place could not bring a file; the text says why in a few words. The next place is asked."""


class Source(Protocol):
    """A place that brings files of the catalogue."""

    def offers(self, file: KnownFile) -> bool:
        """Return whether the catalogue says that this place has `file`."""
        ...

    def bring(self, file: KnownFile, partial: Partial, work: Path, report: Report) -> None:
        """Append to `partial` what it still lacks of `file`; `work` is a folder for what is in between.

        Raises SourceFailed, and StorageFailed where the disk is full. What was appended until then stays.
        """
        ...
