"""What a person typed, made into fields of a request: roots, models, adapters, and their bounds."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import get_args

from lorebook_api.asking import AdapterUse
from lorebook_api.errors import BadRequest, NotFound
from lorebook_api.retrieval import Filters, Kind

K_MOST = 100
"""Passages at the most; one at the least."""
MAX_TOKENS_MOST = 32_768
"""Tokens of an answer at the most; one at the least."""

_AGO = re.compile(r"(\d{1,6})\s*(min|h|d|w)")
_UNITS = {
    "min": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}


def find_roots(typed: Sequence[str | Path]) -> tuple[str, ...]:
    """Return the folders as absolute paths, each once, the current folder where none was given.

    Raises NotFound for one that is not there and BadRequest for one that is no folder.
    """
    return tuple(dict.fromkeys(_find_root(Path(root)) for root in typed or (".",)))


def find_model(typed: str) -> str:
    """Return a model's name as it is, a path to a file as an absolute path: the daemon stands elsewhere."""
    path = Path(typed).expanduser()
    is_path = path.suffix.lower() == ".gguf" or (path.name != typed and path.is_file())
    return str(path.absolute()) if is_path else typed


def find_scores(typed: str) -> tuple[str, str]:
    """Return the file (an absolute path) and the field that `FILE:FIELD`, `FILE` or `FIELD` means; no file is empty."""
    whole = Path(typed).expanduser()
    if typed and whole.is_file():
        return str(whole.absolute()), ""
    name, colon, field = typed.rpartition(":")
    path = Path(name).expanduser()
    return (str(path.absolute()), field) if colon and path.is_file() else ("", typed)


def parse_adapter(typed: str) -> AdapterUse:
    """Return the adapter that `NAME`, `NAME:SCALE` or a path to a GGUF means; raises BadRequest for a bad scale."""
    name, colon, scale = typed.rpartition(":")
    if not colon or typed.lower().endswith(".gguf"):
        return AdapterUse(find_model(typed))
    try:
        strength = float(scale)
    except ValueError:
        strength = math.nan
    if not name or not math.isfinite(strength):
        raise BadRequest(f"{typed!r} is no adapter.", "Type NAME or NAME:SCALE, for example lab-notes:0.8")
    return AdapterUse(find_model(name), strength)


def parse_since(typed: str, now: datetime | None = None) -> str:
    """Return the moment that `7d`, `12h`, `2026-11-01` or `2026-11-01T14:00` means, in ISO 8601 with its zone.

    Raises BadRequest for anything else.
    """
    ago = _AGO.fullmatch(typed.strip())
    try:
        if ago:
            moment = (now or datetime.now().astimezone()) - int(ago[1]) * _UNITS[ago[2]]
        else:
            moment = datetime.fromisoformat(typed.strip())
        return (moment if moment.tzinfo else moment.astimezone()).isoformat()
    except (ValueError, OverflowError, OSError) as error:  # OSError: a year that the system has no zone for
        raise BadRequest(
            f"{typed!r} is no time.", "Type how long ago (30min, 12h, 7d, 2w), or a date: 2026-11-01"
        ) from error


def find_filters(
    paths: Sequence[str] = (),
    kinds: Sequence[Kind] = (),
    languages: Sequence[str] = (),
    since: str | None = None,
    notebooks: Sequence[str] = (),
    tags: Sequence[str] = (),
) -> Filters:
    """Return the filters that were typed; `since` as `parse_since` takes it.

    Raises BadRequest for an empty one, for a kind that is none and for a time that is none.
    """
    for name, values in (("path", paths), ("language", languages), ("notebook", notebooks), ("tag", tags)):
        if not all(value.strip() for value in values):
            raise BadRequest(f"the {name} is empty.", f"Leave it out to have every {name}.")
    for kind in kinds:
        if kind not in get_args(Kind):
            raise BadRequest(f"{kind!r} is no kind of file.", f"There are: {', '.join(get_args(Kind))}")
    return Filters(
        tuple(map(_pattern, paths)),
        tuple(kinds),
        tuple(languages),
        "" if since is None else parse_since(since),
        tuple(map(_pattern, notebooks)),
        tuple(tags),
    )


def _pattern(typed: str) -> str:
    """Return a path as the index has it: with `/`, from the root on."""
    return typed.strip().replace(os.sep, "/").removeprefix("./")


def _find_root(typed: Path) -> str:
    try:
        root = typed.expanduser().resolve(strict=True)
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links, before Python 3.13; an unknown ~user
        raise NotFound(
            f"{typed} does not exist or cannot be read.", "Check the path, or name another folder."
        ) from error
    if not root.is_dir():
        raise BadRequest(f"{root} is a file; a root is a folder.", f"Take its folder: {root.parent}")
    return str(root)
