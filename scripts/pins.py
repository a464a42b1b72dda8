"""The exact versions in constraints.txt."""

from __future__ import annotations

import re
from pathlib import Path

from scripts.trouble import Trouble

PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([A-Za-z0-9.!+]+)$")


def normal(name: str) -> str:
    """Return a distribution's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_pins(path: Path) -> dict[str, str]:
    """Return version by normalised name. Raises Trouble for a line that is no pin and for a name pinned twice."""
    pins: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        text = line.split("#")[0].strip()
        if not text:
            continue
        match = PIN.match(text)
        if match is None or normal(match[1]) in pins:
            raise Trouble(f"{path.name}:{number} is no pin, or a second one: {text}", "Type: make lock")
        pins[normal(match[1])] = match[2]
    return pins
