"""Which steps are finished, and for which inputs: one small file a step."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path


def make_key(*parts: object) -> str:
    """Return a name for these inputs: equal inputs give equal names (16 hex digits)."""
    return hashlib.sha256(json.dumps([str(part) for part in parts]).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Stamps:
    """The finished steps of one environment, kept inside it, so that they go when it goes."""

    folder: Path

    def read(self, step: str) -> str:
        """Return the key that `step` was last finished with; empty when it never was."""
        try:
            return (self.folder / step).read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""

    def mark(self, step: str, key: str) -> None:
        """Note that `step` is finished for `key`; a kill leaves either the old note or the new one."""
        self.folder.mkdir(parents=True, exist_ok=True)
        draft = self.folder / f"{step}.{os.getpid()}"
        draft.write_text(key, encoding="utf-8")
        draft.replace(self.folder / step)
