"""What a measurement on this machine holds for."""

from __future__ import annotations

import importlib.metadata
import platform
from pathlib import Path


def machine_key() -> str:
    """Return this CPU and this version of the engine's library, in words."""
    return f"{cpu_name()} | llama-cpp-python {engine_version()}"


def engine_version() -> str:
    """Return the version of llama-cpp-python, `none` where it is not installed."""
    try:
        return importlib.metadata.version("llama-cpp-python")
    except importlib.metadata.PackageNotFoundError:
        return "none"


def cpu_name() -> str:
    """Return the CPU's own name where the platform tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.lower().startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
