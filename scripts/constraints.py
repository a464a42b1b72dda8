"""Writes constraints.txt: `make lock`, after a dependency was added or to move to newer versions.

pip resolves everything afresh for this platform without installing it. What only other platforms need (colorama on
Windows, appnope on macOS) is therefore not pinned.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from scripts.pins import normal
from scripts.places import CONSTRAINTS, ROOT

GROUPS = ("dev", "engine-build")
HEAD = "# Every version that lorebook was last tested with. Written by `make lock`; not edited by hand.\n"


def pin_lines(report: dict[str, Any]) -> list[str]:
    """Return `name==version` for everything in pip's installation report but lorebook, sorted."""
    found = {normal(item["metadata"]["name"]): item["metadata"]["version"] for item in report["install"]}
    return [f"{name}=={version}" for name, version in sorted(found.items()) if name != "lorebook"]


def resolve() -> dict[str, Any]:
    """Return pip's report of what a fresh environment would get. Raises CalledProcessError after pip has said why."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        groups = [part for name in GROUPS for part in ("--group", f"{ROOT / 'pyproject.toml'}:{name}")]
        subprocess.run(
            [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed",
             "--report", report, f"{ROOT}[all]", "pip", *groups],
            check=True,
        )  # fmt: skip
        loaded: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
        return loaded


def main() -> int:
    """Write the file; returns pip's exit status where pip fails."""
    try:
        lines = pin_lines(resolve())
    except subprocess.CalledProcessError as error:
        return error.returncode
    CONSTRAINTS.write_text(HEAD + "\n".join(lines) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
