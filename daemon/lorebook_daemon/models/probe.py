"""What is known of this machine's engine: whether the fast settings run on this CPU."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
from pathlib import Path

from lorebook_api.home import Home


class Probe:
    """Remembers for (CPU, library version) that the fast settings crashed, so that they are not tried again.

    Each start of the engine is a probe: the child decodes a few tokens before it says that it is ready. A native build
    on a virtual CPU that announces AMX but may not use it dies there; without llama.cpp's extra buffer types, which
    hold repacked weights, the same build runs, with a slower prefill.
    """

    def __init__(self, home: Home) -> None:
        """Keep the results in the cache folder."""
        self._file = home.cache / "engine.json"
        self._key = f"{cpu_name()} llama-cpp-python {importlib.metadata.version('llama-cpp-python')}"

    @property
    def fast_settings_crash(self) -> bool:
        """Whether a start with the fast settings died on this machine."""
        return self._read().get(self._key) == "safe"

    def remember_crash(self) -> None:
        """Note that the fast settings died here."""
        temporary = self._file.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps({**self._read(), self._key: "safe"}), encoding="utf-8")
        temporary.replace(self._file)

    def _read(self) -> dict[str, str]:
        try:
            known = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return known if isinstance(known, dict) else {}


def cpu_name() -> str:
    """Return the CPU's own name where the platform tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.lower().startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
