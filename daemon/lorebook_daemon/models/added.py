"""The person's own GGUF files: registered by name, used where they lie."""

from __future__ import annotations

from pathlib import Path

from lorebook_api.home import Home
from lorebook_daemon.models.json_file import change_object, read_object


def added_models(home: Home) -> dict[str, Path]:
    """Return the paths of the models that the person added, by name, in the order of the names."""
    entries = read_object(_file(home))
    return {name: Path(path) for name, path in sorted(entries.items()) if isinstance(path, str)}


def put(home: Home, name: str, path: Path) -> None:
    """Register the file at the absolute `path` as `name`; raises StorageFailed."""
    change_object(_file(home), lambda entries: entries.update({name: str(path)}))


def take_back(home: Home, name: str) -> None:
    """Forget `name`; its file stays where it is. Raises StorageFailed."""
    change_object(_file(home), lambda entries: entries.pop(name, None))


def _file(home: Home) -> Path:
    return home.models / "added.json"
