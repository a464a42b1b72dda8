"""Which passages a search may find: by path, kind, language, time, notebook and tag."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Protocol

from pathspec import GitIgnoreSpec

from lorebook_api.errors import BadRequest
from lorebook_api.schema import Filters, Kind
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


def _by_path(patterns: Collection[str]) -> FileTest:
    lines = [*patterns]
    if all(line.startswith("!") for line in lines):
        lines = ["*", *lines]  # who only takes out means everything else
    try:
        spec = GitIgnoreSpec.from_lines(lines)
    except ValueError as error:
        raise BadRequest(
            f"filters.paths holds a pattern that is none ({error}).", "For example src/ or *.md"
        ) from error
    return lambda path, _: spec.match_file(path)


def _by_time(since: str) -> FileTest:
    try:
        moment = datetime.fromisoformat(since)
        least = int(moment.astimezone().timestamp() * 1e9) if moment.tzinfo is None else int(moment.timestamp() * 1e9)
    except (ValueError, OverflowError, OSError) as error:
        raise BadRequest(f"filters.modified_since is {since!r}, which is no time.", "Send ISO 8601.") from error
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
