"""How soon a change is found by a daemon that watches: one file that was saved, and one in a hundred at once.

The tree is Python source of the standard library and of what is installed here. The daemon is one of its own, in a home
of its own. The clock runs from the end of writing until the daemon has told of the change, and what was written must
then be found by the next search. A big tree is watched without an embedder, since its vectors would take half an hour;
a small one with it.
"""

from __future__ import annotations

import os
import queue
import random
import shutil
import statistics
import string
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import psutil

from benchmarks.engine import parser
from benchmarks.tree import copy_tree
from benchmarks.verdict import say, spread
from lorebook_api.client import Client
from lorebook_api.discovery import connect, stop_daemon
from lorebook_api.errors import LorebookError
from lorebook_api.home import find_home
from lorebook_api.indexing import IndexReport, IndexRequest
from lorebook_api.retrieval import SearchRequest
from lorebook_daemon.models.pull import ensure_embedder

MEGABYTES = 60.0
FEW_MEGABYTES = 0.4
"""So much is watched with vectors."""
SAVES = 20
TURNS = 3
CHANGED = 100
"""One file in so many is touched."""
PATIENCE_S = 600.0

Reports = queue.SimpleQueue[IndexReport]


def main() -> None:
    """Print seconds until single saves are found, and until 1% of the files are."""
    options = parser(__doc__).parse_args()
    print(f"load of the machine before: {psutil.getloadavg()[0]:.1f} on {psutil.cpu_count(logical=False)} cores")
    embedder = ensure_embedder(find_home(), report=lambda progress: None).path
    measure(2.0 if options.quick else MEGABYTES, None)
    measure(FEW_MEGABYTES, embedder)


def measure(megabytes: float, embedder: Path | None) -> None:
    """Print the figures of a tree of so many megabytes, with vectors where there is an embedder."""
    with tempfile.TemporaryDirectory() as scratch:
        root, place = Path(scratch).resolve() / "tree", Path(scratch, "home")
        size = copy_tree(root, megabytes)
        if embedder is not None:
            shutil.copytree(embedder, place / "models" / embedder.name)
        with own_daemon(place) as client, watched(client, root) as reports:
            files = sorted(root.rglob("*.py"))
            told = "words and vectors" if embedder else "words"
            print(f"\n{len(files)} files, {size:.0f} MB, {told}")
            busy = processor_seconds(client.daemon.pid)
            one = [save(client, root, [files[n]], reports) * 1000 for n in picked(files, SAVES)]
            busy = processor_seconds(client.daemon.pid) - busy
            many = [save(client, root, files[turn::CHANGED], reports) for turn in range(TURNS)]
    if embedder is None:
        print(f"one file saved takes {busy / len(one):.2f} s of one processor, whatever else the machine does")
    say(f"one file saved, found after, s ({spread(one).strip()})", statistics.median(one) / 1000, at_most=0.5)
    say("1% of the files changed, found after, s", statistics.median(many), at_most=1.5)


@contextmanager
def own_daemon(place: Path) -> Iterator[Client]:
    """Run a daemon whose home is `place` for the block."""
    with patch.dict(os.environ, LOREBOOK_HOME=str(place), LOREBOOK_OFFLINE="1"):
        home = find_home().make()
        daemon = connect(home)
        try:
            yield Client(daemon)
        finally:
            stop_daemon(home, daemon)


def processor_seconds(pid: int) -> float:
    """Return what a daemon and those it started have had of the processors so far."""
    daemon = psutil.Process(pid)
    return sum(sum(process.cpu_times()) for process in (daemon, *daemon.children(recursive=True)))


@contextmanager
def watched(client: Client, root: Path) -> Iterator[Reports]:
    """Have the daemon watch `root` for the block; yields its reports, once all is indexed."""
    reports: Reports = queue.SimpleQueue()
    events = client.index(IndexRequest((str(root),), watch=True))

    def listen() -> None:
        try:
            for event in events:
                if isinstance(event, IndexReport):
                    reports.put(event)
        except LorebookError:  # the daemon was stopped, at the end
            pass

    threading.Thread(target=listen, daemon=True).start()
    reports.get(timeout=PATIENCE_S)
    rest(client)  # the watch looks everywhere once, at its beginning
    yield reports


def rest(client: Client) -> None:
    """Wait until nothing is indexed any more, vectors among it: the next save is one by itself."""
    time.sleep(1.0)
    while client.status().indexing:
        time.sleep(0.2)


def picked(files: Sequence[Path], count: int) -> range:
    """Return the positions of some files, spread over all."""
    return range(0, len(files), max(1, len(files) // count))[:count]


def save(client: Client, root: Path, files: Sequence[Path], reports: Reports) -> float:
    """Write to files; return the seconds until the daemon told of the last of them. Ends where it is not found."""
    mark = "".join(random.choices(string.ascii_lowercase, k=16))  # one word: parts of it would be found elsewhere
    for file in files:
        with file.open("a", encoding="utf-8") as out:
            out.write(f"\n# {mark}\n")
    begun = time.perf_counter()
    waiting = len(files)
    while waiting > 0:
        waiting -= reports.get(timeout=PATIENCE_S).changed
    seconds = time.perf_counter() - begun
    found = client.search(SearchRequest(mark, (str(root),), 1)).results
    if not found or mark not in found[0].text:
        raise SystemExit(f"what was saved in {files[0]} is not found")
    rest(client)
    return seconds


if __name__ == "__main__":
    main()
