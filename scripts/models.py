"""Brings the two models that the tests run: `python -m scripts.models`, inside the environment, for `make test`.

Without the daemon, so that a test run leaves none behind.
"""

from __future__ import annotations

import sys

from lorebook_api.errors import LorebookError
from lorebook_api.home import find_home
from lorebook_api.indexing import Progress
from lorebook_daemon.models.pull import pull
from scripts.bar import Bar

WANTED = ("smollm2-135m-instruct-q4_1", "minilm")


class Reported:
    """Shows a download's progress as bars, one for each thing that it says it does."""

    def __init__(self) -> None:
        self._what = ""
        self._bar: Bar | None = None

    def __call__(self, progress: Progress) -> None:
        """Show `progress`."""
        if self._bar is None or progress.what != self._what:
            self.end()
            self._what, self._bar = progress.what, Bar(progress.what)
        if progress.total:
            self._bar.update(progress.done, progress.total)

    def end(self) -> None:
        """Close the bar that is open, if any."""
        if self._bar is not None:
            self._bar.end()
            self._bar = None


def main() -> int:
    """Bring what is not here yet; returns 1 after one line on what is wrong."""
    try:
        home = find_home().make()
        for name in WANTED:
            reported = Reported()
            pull(name, home, reported)
            reported.end()
    except LorebookError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped. The same command goes on from here.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
