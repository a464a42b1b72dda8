"""Seconds to index a big real tree, the standard library, against those that merely reading its files takes."""

from __future__ import annotations

import shutil
import sysconfig
import tempfile
import time
from pathlib import Path

from benchmarks.engine import parser
from lorebook_daemon.index.update import is_stale, update

CHANGED = 0.01
"""Share of the files that is touched before the second update."""


def main() -> None:
    """Print seconds and ratios of a first update, of one that finds nothing, and of one after 1% of files changed."""
    library = Path(sysconfig.get_path("stdlib"))
    source = library / "asyncio" if parser(__doc__).parse_args().quick else library
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


def _timed(root: Path, folder: Path, what: str, base: float, reading: float) -> float:
    start = time.perf_counter()
    report = update(root, folder, max_file_mb=20, report=lambda progress: None)
    seconds = time.perf_counter() - start
    against = f"÷ reading {seconds / reading:.1f}" if base is reading else f"÷ first {seconds / base:.4f}"
    print(f"{what:45} {seconds:7.2f} s   {against}   {report.files} files, {report.passages} passages")
    return seconds


if __name__ == "__main__":
    main()
