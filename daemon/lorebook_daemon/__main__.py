"""`python -m lorebook_daemon` and the command `lorebook`."""

from __future__ import annotations

import io
import sys

from lorebook_daemon.cli.commands import lorebook


def main() -> None:
    """Run the command line; ends the process with 0, 1 (the person can mend it), 2 (usage) or 130 (interrupted)."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A console that cannot show a character shows "?" for it, rather than failing.
            stream.reconfigure(errors="replace")
    lorebook(prog_name="lorebook")


if __name__ == "__main__":
    main()
