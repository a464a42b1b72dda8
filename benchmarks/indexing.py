"""Seconds to index a big real tree, the standard library, against those that merely reading its files takes.

`--files N` measures N tiny files instead, such as 200,000, with the product's own worker: how fast, in how much memory,
and how big the index is.
"""

from __future__ import annotations

import shutil
import sysconfig
import tempfile
import time
from pathlib import Path

from benchmarks.engine import parser
from benchmarks.first_index import first_index
from lorebook_daemon.index.update import is_stale, update

CHANGED = 0.01
"""Share of the files that is touched before the second update."""
IN_FOLDER = 500
TINY = (
    ("module{}.py", "def function{0}(value):\n    return value + {0}\n"),
    ("note{}.md", "# Note {0}\n\nWhat was seen on day {0}.\n"),
    ("values{}.json", '{{"run": {0}, "loss": 0.5}}\n'),
    ("line{}.txt", "Line number {0}.\n"),
)
"""Names and contents of tiny files."""


def main() -> None:
    """Measure what is asked for."""
    arguments = parser(__doc__)
    arguments.add_argument("--files", type=int, default=0)
    options = arguments.parse_args()
    if options.files:
        with tempfile.TemporaryDirectory() as scratch:
            many(Path(scratch), options.files)
    else:
        library(options.quick)


def library(quick: bool) -> None:
    """Print seconds and ratios of a first update, of one that finds nothing, and of one after 1% of files changed."""
    stdlib = Path(sysconfig.get_path("stdlib"))
    source = stdlib / "asyncio" if quick else stdlib
    with tempfile.TemporaryDirectory() as scratch:
        root, folder = Path(scratch, "tree"), Path(scratch, "index")
        shutil.copytree(source, root, ignore=shutil.ignore_patterns("site-packages", "__pycache__", "*.so"))
        files = [path for path in root.rglob("*.py") if path.is_file()]
        start = time.perf_counter()
        size = sum(len(path.read_bytes()) for path in files)
        reading = time.perf_counter() - start
        first = _timed(root, folder, f"first update, {size / 1e6:.0f} MB of Python", reading, reading)
        start = time.perf_counter()
        differing = is_stale(root, folder)
        fresh = time.perf_counter() - start
        print(f"{'is it fresh? ' + str(differing) + ' files differ':45} {fresh:7.2f} s   ÷ first {fresh / first:.4f}")
        for path in files[:: round(1 / CHANGED)]:
            path.write_text(path.read_text(encoding="utf-8", errors="ignore") + "\n# changed\n", encoding="utf-8")
        _timed(root, folder, "update after 1% of the files changed", first, reading)


def many(scratch: Path, count: int) -> None:
    """Index `count` tiny files, made in `scratch`, and print what that took."""
    root, folder = scratch / "tree", scratch / "index"
    tiny_files(root, count)
    took = first_index(root, folder)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    print(f"{count:,} files indexed in {took.seconds:.1f} s, {count / took.seconds:,.0f} a second")
    print(f"memory at most {took.worker_mb:,.0f} MB of the worker, {took.all_mb:,.0f} MB with those that read for it")
    print(f"index of {size / 1e6:,.1f} MB")
    start = time.perf_counter()
    differing = is_stale(root, folder)
    print(f"is it fresh? {differing} files differ, said in {time.perf_counter() - start:.2f} s")


def tiny_files(root: Path, count: int) -> None:
    """Write `count` files of a line or three, of several kinds, below `root`."""
    for number in range(count):
        place = root / f"part{number // IN_FOLDER}"
        if number % IN_FOLDER == 0:
            place.mkdir(parents=True)
        name, text = TINY[number % len(TINY)]
        (place / name.format(number)).write_text(text.format(number), encoding="utf-8")


def _timed(root: Path, folder: Path, what: str, base: float, reading: float) -> float:
    start = time.perf_counter()
    report = update(root, folder, max_file_mb=20, report=lambda progress: None)
    seconds = time.perf_counter() - start
    against = f"÷ reading {seconds / reading:.1f}" if base is reading else f"÷ first {seconds / base:.4f}"
    print(f"{what:45} {seconds:7.2f} s   {against}   {report.files} files, {report.passages} passages")
    return seconds


if __name__ == "__main__":
    main()
