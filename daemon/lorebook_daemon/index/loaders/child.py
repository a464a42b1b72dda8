"""The loaders' child process: `python -m lorebook_daemon.index.loaders.child`, for `apart.py`.

An empty line on stdout says that it is ready. A file is a line of JSON (`loader`, `path`, `bytes`) and its bytes on
stdin; the reply is a line of JSON on stdout, `units` or `why`. It ends at once when its stdin is closed: then nobody
is left to read.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import sys
import threading
from dataclasses import asdict, replace
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any

from lorebook_daemon.index.passage import TOO_DEEP, Unit, Unreadable

MOST_TEXT = 8_000_000
"""Characters of one file that are indexed: a shelf of books. What is left out is counted in the context."""
ORPHANED = 3

File = tuple[dict[str, Any], bytes]


def main() -> int:
    """Load what comes until nothing comes any more."""
    logging.disable(logging.CRITICAL)  # a library's remarks on a stranger's file
    files: SimpleQueue[File] = SimpleQueue()
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not stand among the replies
    threading.Thread(target=_receive, args=(sys.stdin.buffer, files), daemon=True).start()
    out.write(b"\n")
    out.flush()
    while True:
        head, data = files.get()
        out.write(json.dumps(reply(head["loader"], Path(head["path"]), data)).encode() + b"\n")
        out.flush()


def reply(loader: str, path: Path, data: bytes) -> dict[str, Any]:
    """Return `{"units": […]}`, or `{"why": reason}` where the file cannot be read."""
    module, _, name = loader.partition(":")
    try:
        units = getattr(importlib.import_module(module), name)(path, data)
        return {"units": [asdict(unit) for unit in bounded(units)]}
    except Unreadable as error:
        return {"why": str(error)}
    except OSError as error:
        return {"why": f"cannot be read: {error.strerror or error}"}
    except MemoryError:
        return {"why": "it takes more memory to read than there is"}
    except RecursionError:
        return {"why": TOO_DEEP}
    except Exception as error:  # a damaged file may break a library in any way
        return {"why": f"damaged: {type(error).__name__}"}


def bounded(units: list[Unit]) -> list[Unit]:
    """Return the units that MOST_TEXT has room for; how many were left out is said in the last one's context."""
    room = MOST_TEXT
    for place, unit in enumerate(units):
        room -= len(unit.text)
        if room < 0:
            kept = units[:place]
            if not kept:
                return [_cut(unit)]
            note = f"the first {place:,} of {len(units):,} parts, the others being beyond {MOST_TEXT:,} characters"
            return [*kept[:-1], replace(kept[-1], context=(*kept[-1].context, note))]
    return units


def _cut(unit: Unit) -> Unit:
    """Return the first lines of a unit, as many as MOST_TEXT has room for."""
    end = unit.text.rfind("\n", 0, MOST_TEXT)
    if end < 0:
        raise Unreadable(f"a text of {len(unit.text):,} characters without any division")
    text = unit.text[:end]
    note = f"the first {text.count(chr(10)) + 1:,} of {unit.text.count(chr(10)) + 1:,} lines"
    return replace(unit, text=text, context=(*unit.context, note))


def _receive(pipe: IO[bytes], files: SimpleQueue[File]) -> None:
    while line := pipe.readline():
        head = json.loads(line)
        files.put((head, pipe.read(head["bytes"])))
    os._exit(ORPHANED)


if __name__ == "__main__":
    sys.exit(main())
