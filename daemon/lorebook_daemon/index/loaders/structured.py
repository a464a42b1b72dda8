"""Structured data (JSON, JSON Lines, YAML, TOML and their like): by keys and records, at their true lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lorebook_daemon.index.loaders.encoding import read_lines
from lorebook_daemon.index.passage import Unit

LARGEST = 400_000
"""Characters of one file that are indexed; the rest is counted in the context."""
MOST_KEYS = 40

STRUCTURED = {
    ".json": "json",
    ".geojson": "json",
    ".jsonc": "jsonc",
    ".json5": "json5",
    ".jsonl": "",
    ".ndjson": "",
    ".yaml": "yaml",
    ".yml": "yaml",
    ".toml": "toml",
    ".ini": "ini",
    ".cfg": "ini",
    ".conf": "ini",
    ".editorconfig": "ini",
    ".properties": "properties",
    ".xml": "xml",
    ".kdl": "kdl",
}
"""Grammar by suffix; none where each line is a record."""


def load_structured(path: Path, data: bytes) -> list[Unit]:
    """Return the file, or the start of a large one, as one unit in its language.

    Of a list of records the context tells how many there are and their keys. What does not parse is split by
    lines later. Raises Unreadable for binary and minified files.
    """
    text = read_lines(data)
    if not text.strip():
        return []
    suffix = path.suffix.lower() or path.name.lower()
    records = _records(suffix, text)
    shown = _head(text)
    context = [_keys(records)] if records else []
    if len(shown) < len(text):
        context.append(f"the first {shown.count(chr(10)) + 1:,} of {text.count(chr(10)) + 1:,} lines")
    return [Unit(shown, "data", STRUCTURED[suffix], context=tuple(context))]


def _records(suffix: str, text: str) -> list[dict[str, Any]]:
    """Return the records of a file that is a list of objects, else nothing."""
    try:
        if suffix in (".jsonl", ".ndjson"):
            values = [json.loads(line) for line in text.split("\n") if line.strip()]
        elif suffix == ".json" and text.lstrip().startswith("["):
            values = json.loads(text)
        else:
            return []
    except (ValueError, RecursionError):
        return []
    return values if all(isinstance(value, dict) for value in values) else []


def _keys(records: list[dict[str, Any]]) -> str:
    keys = list(dict.fromkeys(key for record in records for key in record))
    more = f" and {len(keys) - MOST_KEYS:,} more" if len(keys) > MOST_KEYS else ""
    return f"{len(records):,} records with {', '.join(keys[:MOST_KEYS])}{more}"


def _head(text: str) -> str:
    return text if len(text) <= LARGEST else text[: text.rfind("\n", 0, LARGEST)]
