"""The adapter room, as it is handed to the routes: the files, and which of them act where a request names none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lorebook_api.asking import AdapterUse
from lorebook_api.errors import BadRequest, Unusable
from lorebook_api.home import Home
from lorebook_api.state import AdapterInfo
from lorebook_daemon.models.adapters import find_adapter, import_adapter, list_adapters, remove_adapter
from lorebook_daemon.models.versions import drop_earlier, finish_changes, roll_back


class Adapters:
    """The adapters of `home`. The default scales live in memory only: a daemon begins with none."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._defaults: tuple[AdapterUse, ...] = ()

    @property
    def defaults(self) -> tuple[AdapterUse, ...]:
        """The adapters that act where a request names none."""
        return self._defaults

    def chosen(self, named: tuple[AdapterUse, ...] | None) -> tuple[AdapterUse, ...]:
        """Return the adapters that a request names, be it none of them; the defaults for None: it does not say."""
        return self._defaults if named is None else named

    def known(self) -> tuple[AdapterInfo, ...]:
        """Return the adapters in the order of their names, which numbers them from 0, with their default scales."""
        scales = {use.name: use.scale for use in self._defaults}
        return tuple(replace(one, scale=scales.get(one.name, 0.0)) for one in list_adapters(self._home))

    def find(self, name: str) -> AdapterInfo:
        """Return the adapter that a name or a path means, damaged or not; raises NotFound."""
        found = find_adapter(name, self._home)
        return replace(found, scale=next((use.scale for use in self._defaults if use.name == found.name), 0.0))

    def numbered(self, scales: Sequence[tuple[int, float]]) -> tuple[AdapterUse, ...]:
        """Return what numbers and scales as llama.cpp takes them mean; a scale of 0 means not at all.

        Raises BadRequest for a number that is unknown or stands twice, Unusable for a damaged adapter.
        """
        known = list_adapters(self._home)
        uses: dict[int, AdapterUse] = {}
        for number, scale in scales:
            if not 0 <= number < len(known):
                there = f"They go from 0 to {len(known) - 1}" if known else "There are none"
                raise BadRequest(f"There is no adapter with the id {number}.", f"{there}: GET /lora-adapters")
            if number in uses:
                raise BadRequest(f"The id {number} stands twice.", "Send one scale for each.")
            if scale and known[number].damaged:
                raise Unusable(known[number].damaged, "Take it out, or bring the file again.")
            uses[number] = AdapterUse(known[number].name, scale)
        return tuple(use for _, use in sorted(uses.items()) if use.scale)

    def set_defaults(self, uses: tuple[AdapterUse, ...]) -> None:
        """Let exactly these adapters act where a request names none."""
        self._defaults = uses

    def add(self, path: Path, name: str = "") -> AdapterInfo:
        """Copy an adapter's file into the folder; raises NotFound, Unusable, BadRequest, Conflict, StorageFailed."""
        return import_adapter(path, self._home, name)

    def remove(self, name: str) -> AdapterInfo:
        """Delete an adapter of the folder, which is no default any more; raises NotFound and Conflict."""
        removed = remove_adapter(name, self._home)
        self._defaults = tuple(use for use in self._defaults if use.name != removed.name)
        return removed

    def drop_earlier(self, name: str) -> None:
        """Delete the version before the present one; raises StorageFailed."""
        drop_earlier(name, self._home)

    def finish_changes(self) -> None:
        """Finish what an earlier daemon was changing when it ended, see `versions`; raises StorageFailed."""
        finish_changes(self._home)

    def roll_back(self, name: str) -> AdapterInfo:
        """Take an adapter back, see `versions`; it is no default any more. Raises NotFound, Conflict, StorageFailed."""
        now = roll_back(name, self._home)
        self._defaults = tuple(use for use in self._defaults if use.name != now.name)
        return now
