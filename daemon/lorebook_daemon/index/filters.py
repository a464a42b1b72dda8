"""Which passages a search may find: by path, kind, language, time, notebook and tag."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from pathspec import GitIgnoreSpec
from pathspec.pattern import Pattern

from lorebook_api.errors import BadRequest
from lorebook_api.retrieval import Filters, Kind
from lorebook_daemon.index.grammars import LANGUAGES
from lorebook_daemon.index.records import FileRow

FileTest = Callable[[str, FileRow], bool]
"""Takes a file's path and what is known of it; tells whether its passages may be found."""


class Filterable(Protocol):
    """What of an index is asked by filters."""

    def files(self) -> Mapping[str, FileRow]:
        """Return all files by path."""
        ...

    def ids_where(
        self,
        files: Collection[int] | None,
        kinds: Collection[Kind],
        languages: Collection[str],
        tags: Collection[str],
    ) -> list[int]:
        """Return the ids of the passages that are of these files, kinds, languages and tags; empty bounds nothing."""
        ...


@dataclass(frozen=True)
class Reach:
    """How far filters reach in one index."""

    some: bool = True
    """Whether there is a passage that may be found."""
    unmatched: tuple[str, ...] = ()
    """What matches nothing by itself, each as a sentence; kinds, languages and tags only where nothing is reached."""


def reach(index: Filterable, filters: Filters, some: bool) -> Reach:
    """Return how far filters reach; `some` is whether a passage is within all of them. Raises BadRequest as `choose`.

    A pattern beside others that do match is told of too: it may be a slip of the pen.
    """
    rows = index.files() if any(getattr(filters, name) for name in FILE_FILTERS) else {}
    idle = [sentence for test, sentence in _file_tests(filters) if not any(test(*file) for file in rows.items())]
    if not some:
        idle += _unmatched_passages(index, filters)
    return Reach(some, tuple(idle))


def choose(index: Filterable, filters: Filters) -> list[int] | None:
    """Return the ids of the passages that may be found, None for all. Raises BadRequest for a filter that is none."""
    if filters == Filters():
        return None
    tests = [make(wanted) for name, make in FILE_FILTERS.items() if (wanted := getattr(filters, name))]
    files = None
    if tests:
        files = [row.id for path, row in index.files().items() if all(test(path, row) for test in tests)]
        if not files:
            return []
    return index.ids_where(files, filters.kinds, [_language(name) for name in filters.languages], filters.tags)


def check_filters(filters: Filters) -> None:
    """Raise BadRequest for a pattern or a time that cannot be read."""
    for name, make in FILE_FILTERS.items():
        wanted = getattr(filters, name)
        if wanted:
            make(wanted)


def _file_tests(filters: Filters) -> Iterator[tuple[FileTest, str]]:
    """Yield a test for each value that looks at files, with what to say where no file passes it."""
    for pattern in filters.paths:
        if not pattern.startswith("!"):
            yield _by_path([pattern]), f"No file matches the path {pattern!r}: paths are relative to the root."
    for name in filters.notebooks:
        yield _by_notebook([name]), f"No notebook is called {name!r}."
    if filters.modified_since:
        yield _by_time(filters.modified_since), f"No file was modified since {filters.modified_since}."


def _unmatched_passages(index: Filterable, filters: Filters) -> Iterator[str]:
    """Yield a sentence for each kind, language and tag that no passage has."""
    for kind in filters.kinds:
        if not index.ids_where(None, (kind,), (), ()):
            yield f"No passage is of the kind {kind!r}."
    for language in filters.languages:
        if not index.ids_where(None, (), (_language(language),), ()):
            yield f"No passage is in the language {language!r}."
    for tag in filters.tags:
        if not index.ids_where(None, (), (), (tag,)):
            yield f"No cell has the tag {tag!r}."


def _by_path(patterns: Collection[str]) -> FileTest:
    """Return a test by which the last pattern that matches decides; who only takes out means everything else.

    Not one GitIgnoreSpec of all: in git a folder that is taken out (`!old/`) does not outdo `*.py`.
    """
    lines = [(_glob(pattern.removeprefix("!")), not pattern.startswith("!")) for pattern in patterns]
    untouched = not any(takes_in for _, takes_in in lines)

    def taken(path: str, _: FileRow) -> bool:
        return next((takes_in for glob, takes_in in reversed(lines) if glob.match_file(path)), untouched)

    return taken


def _glob(pattern: str) -> Pattern:
    """Return one line of a `.gitignore`; asked by itself it takes a microsecond a path, a spec of it ten."""
    try:
        spec = GitIgnoreSpec.from_lines([pattern])
    except (ValueError, re.error) as error:
        raise BadRequest(f"filters.paths holds {pattern!r}, no pattern ({error}).", "Such as src/ or *.md") from error
    if not spec.patterns or spec.patterns[0].include is None:
        raise BadRequest(f"filters.paths holds {pattern!r}, which matches nothing.", "Such as src/ or *.md, or !tests/")
    return spec.patterns[0]


def _by_time(since: str) -> FileTest:
    try:
        moment = datetime.fromisoformat(since)
        least = int(moment.astimezone().timestamp() * 1e9) if moment.tzinfo is None else int(moment.timestamp() * 1e9)
    except (ValueError, OverflowError, OSError) as error:
        raise BadRequest(
            f"filters.modified_since is {since!r}, which is no time.",
            "Send ISO 8601, such as 2026-11-01 or 2026-11-01T14:00.",
        ) from error
    return lambda _, row: row.stamp[0] >= least


def _by_notebook(notebooks: Collection[str]) -> FileTest:
    ends = tuple(f"/{name.removeprefix('/')}" for name in notebooks)
    return lambda path, _: f"/{path}".endswith(ends)


def _language(name: str) -> str:
    return LANGUAGES.get(f".{name.lower().removeprefix('.')}", name.lower())


FILE_FILTERS: dict[str, Callable[..., FileTest]] = {
    "paths": _by_path,
    "modified_since": _by_time,
    "notebooks": _by_notebook,
}
"""The filters that look at files, by the name of their field; the others are the index's own to answer."""
