"""What `.gitignore`, `.git/info/exclude` and `.lorebookignore` say about a path."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from pathspec import GitIgnoreSpec

OWN_FILE = ".lorebookignore"
"""Written like a `.gitignore`; it has the last word, and its `!pattern` forces in what anything else leaves out."""

GIT_FILE = ".gitignore"

MARKERS = frozenset(["pyvenv.cfg", "conda-meta", "CACHEDIR.TAG"])
"""A folder with one of these is a virtual environment or, by the cache directory tagging specification, a cache."""


@dataclass(frozen=True, slots=True)
class _Rules:
    """One ignore file. Its patterns are relative to its folder: `lead` and `strip` bring a path there."""

    spec: GitIgnoreSpec
    lead: str
    strip: int
    forced: tuple[tuple[str, ...], ...]
    """The segments of each `!pattern` that names a folder, for `Ignore.opens`."""

    def verdict(self, path: str) -> bool | None:
        return self.spec.check_file(self.lead + path[self.strip :]).include

    def opens(self, folder: str) -> bool:
        have = (self.lead + folder[self.strip :]).rstrip("/").split("/")
        return any(
            len(wanted) > len(have) and all(fnmatchcase(name, glob) for name, glob in zip(have, wanted, strict=False))
            for wanted in self.forced
        )


@dataclass(frozen=True, slots=True)
class Ignore:
    """The rules that hold in one folder, nearest first. Folders are given with a final `/`."""

    own: tuple[_Rules, ...] = ()
    git: tuple[_Rules, ...] = ()

    def forces(self, path: str) -> bool:
        """Return whether a `!pattern` of a `.lorebookignore` forces `path` in."""
        return _first(self.own, path) is False

    def ignores(self, path: str) -> bool:
        """Return whether `path` is left out: the own rules decide, and where they are silent git's."""
        verdict = _first(self.own, path)
        return bool(_first(self.git, path) if verdict is None else verdict)

    def opens(self, folder: str) -> bool:
        """Return whether a `!pattern` forces in something below `folder`, as `!build/report.md` does for `build/`."""
        return any(rules.opens(folder) for rules in self.own)

    def within(self, folder: str, place: Path, names: Collection[str]) -> Ignore:
        """Return the rules that hold inside `folder` (relative, with a final `/`), which holds `names`."""
        own, git = self.own, self.git
        if ".git" in names:
            git = (*_read(place / ".git" / "info" / "exclude", strip=len(folder)), *git)
        if GIT_FILE in names:
            git = (*_read(place / GIT_FILE, strip=len(folder)), *git)
        if OWN_FILE in names:
            own = (*_read(place / OWN_FILE, strip=len(folder)), *own)
        return self if (own, git) == (self.own, self.git) else Ignore(own, git)


def outer_rules(root: Path) -> Ignore:
    """Return what the repository around `root` says of the files below it.

    Nothing, where there is none, and where it ignores `root` itself: who names an ignored folder wants it.
    """
    top = next((folder for folder in root.parents if (folder / ".git").exists()), None)
    if top is None or (root / ".git").exists():
        return Ignore()
    git: list[_Rules] = [*_read(top / ".git" / "info" / "exclude", lead=_lead(root, top))]
    for folder in reversed([place for place in root.parents if place.is_relative_to(top)]):
        git = [*_read(folder / GIT_FILE, lead=_lead(root, folder)), *git]
        if _first(tuple(git), "") is True:
            return Ignore()
    return Ignore(git=tuple(git))


def _lead(root: Path, folder: Path) -> str:
    return root.relative_to(folder).as_posix() + "/"


def _first(rules: tuple[_Rules, ...], path: str) -> bool | None:
    """Return the nearest verdict: True leaves out, False takes back in, None says nothing."""
    return next((verdict for rule in rules if (verdict := rule.verdict(path)) is not None), None)


def _read(file: Path, lead: str = "", strip: int = 0) -> Iterator[_Rules]:
    """Yield the rules of an ignore file; none where it is missing or cannot be read, as git does."""
    try:
        lines = file.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except OSError:
        return
    lines = [line for line in lines if _is_pattern(line)]
    spec = GitIgnoreSpec.from_lines(lines)
    if spec.patterns:
        yield _Rules(spec, lead, strip, tuple(_segments(line) for line in lines if line.startswith("!")))


def _is_pattern(line: str) -> bool:
    """Return whether pathspec can read the line; git passes over the others too."""
    try:
        GitIgnoreSpec.from_lines([line])
    except (ValueError, re.error):
        return False
    return True


def _segments(line: str) -> tuple[str, ...]:
    """Return `("build", "report.md")` for `!build/report.md`, and nothing for a pattern that is tied to no folder."""
    segments = tuple(line[1:].strip().strip("/").split("/"))
    return () if "**" in segments[:1] else segments
