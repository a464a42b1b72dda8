"""What the places have in common that a model's bytes can come from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from lorebook_api.schema import Progress
from lorebook_daemon.models.catalogue import KnownFile
from lorebook_daemon.models.partial import Partial

Report = Callable[[Progress], None]
"""Is told how far a download is, in bytes. It may raise, which stops the download; what has come is kept."""


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
