"""Starts the indexer as a process of its own: `python -m lorebook_daemon.index.start`, and beside it one that reads.

Each loads its libraries for half a second, and it is the same half second so.
"""

from __future__ import annotations

import sys

from lorebook_daemon.index.ahead import start_ahead


def main() -> int:
    """Take jobs, as `worker` does."""
    start_ahead()
    from lorebook_daemon.index import worker

    return worker.main()


if __name__ == "__main__":
    sys.exit(main())
