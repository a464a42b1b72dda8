"""A big real tree of source, its passages, and questions about it: the standard library and what is installed here."""

from __future__ import annotations

import random
import re
import shutil
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path

from lorebook_api.indexing import Skipped
from lorebook_daemon.index.passage import Passage, Unreadable
from lorebook_daemon.index.split import read_passages
from lorebook_daemon.index.walk import walk

_SOURCES = {"library": "stdlib", "packages": "purelib"}
_SUMMARY = re.compile(r'"""([A-Z][a-z][^"\n.]{25,90})\.?(?:"""|\n)')
_NAME = re.compile(r"[A-Za-z_]\w{5,}")
_RENAMED = 4  # one name in so many is another in a copy


def copy_tree(into: Path, megabytes: float) -> float:
    """Copy Python files of the standard library and of installed packages; return the megabytes copied.

    The folders get other names: lorebook passes `site-packages` over, and so may others.
    """
    room = megabytes * 1e6
    for name, scheme in _SOURCES.items():
        top = Path(sysconfig.get_path(scheme))
        for file in sorted(top.rglob("*.py")):
            inside = file.relative_to(top)
            if room <= 0:
                break
            if file.is_symlink() or (name == "library" and "site-packages" in inside.parts):
                continue
            target = into / name / inside
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
            room -= file.stat().st_size
    return megabytes - room / 1e6


def passages_in(root: Path) -> Iterator[Passage]:
    """Yield the passages of all files below `root`."""
    for file in walk(root, max_file_mb=20):
        if not isinstance(file, Skipped):
            try:
                yield from read_passages(Path(file.file), file.path)
            except Unreadable:
                continue


def questions(passages: Sequence[Passage], count: int) -> list[str]:
    """Return first lines of docstrings: what somebody would ask who looks for that code."""
    found = sorted({match[1] for passage in passages for match in _SUMMARY.finditer(passage.text)})
    return random.Random(3).sample(found, min(count, len(found)))


def copies(passages: Sequence[Passage], count: int) -> Iterator[Passage]:
    """Yield `count` passages: the real ones, then copies in other files with some of their names changed."""
    for number in range(count):
        copy, place = divmod(number, len(passages))
        yield passages[place] if copy == 0 else _renamed(passages[place], copy)


def _renamed(passage: Passage, copy: int) -> Passage:
    def other(match: re.Match[str]) -> str:
        name = match[0]
        return f"{name}_{copy}" if sum(map(ord, name)) % _RENAMED == copy % _RENAMED else name

    text = _NAME.sub(other, passage.text)
    defines = tuple(_NAME.sub(other, name) for name in passage.defines)
    return Passage(
        f"copy{copy}/{passage.path}",
        passage.start_line,
        passage.end_line,
        text,
        passage.kind,
        passage.language,
        passage.context,
        defines,
        passage.uses,
        passage.cell,
    )
