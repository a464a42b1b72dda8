"""What is known of this machine's engine: whether the fast settings run on this CPU."""

from __future__ import annotations

from lorebook_api.home import Home
from lorebook_daemon.models.json_file import change_object, read_object
from lorebook_daemon.models.machine import machine_key


class Probe:
    """Remembers for (CPU, library version) that the fast settings crashed, so that they are not tried again.

    Each start of the engine is a probe: the child decodes a few tokens before it says that it is ready. A native build
    on a virtual CPU that announces AMX but may not use it dies there; without llama.cpp's extra buffer types, which
    hold repacked weights, the same build runs, with a slower prefill.
    """

    def __init__(self, home: Home) -> None:
        """Keep the results in the cache folder."""
        self._file = home.cache / "engine.json"

    @property
    def fast_settings_crash(self) -> bool:
        """Whether a start with the fast settings died on this machine."""
        return read_object(self._file).get(machine_key()) == "safe"

    def remember_crash(self) -> None:
        """Note that the fast settings died here; raises StorageFailed."""
        change_object(self._file, lambda known: known.update({machine_key(): "safe"}))
