"""The daemon's log: one rotating file, and the terminal where the daemon was started from one."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from logging.handlers import RotatingFileHandler

from lorebook_api.home import Home

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_MEGABYTE = 1_000_000


@contextmanager
def logging_to(home: Home) -> Iterator[None]:
    """Send this process's log records to `home.log_file` for the block: ours from INFO on, others' from WARNING on."""
    handlers: list[logging.Handler] = [
        RotatingFileHandler(home.log_file, maxBytes=_MEGABYTE, backupCount=2, encoding="utf-8")
    ]
    if sys.stderr is not None and sys.stderr.isatty():
        handlers.append(logging.StreamHandler())
    root, ours = logging.getLogger(), logging.getLogger("lorebook_daemon")
    before = ours.level
    ours.setLevel(logging.INFO)
    for handler in handlers:
        handler.setFormatter(logging.Formatter(_FORMAT))
        root.addHandler(handler)
    try:
        yield
    finally:
        ours.setLevel(before)
        for handler in handlers:
            root.removeHandler(handler)
            handler.close()
