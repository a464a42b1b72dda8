"""Writes the map of the code into CONTRIBUTING.md, from the first line of each module: `make tree`."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from scripts.places import ROOT

MAPPED = (
    *("daemon/lorebook_api", "daemon/lorebook_daemon", "extension/lorebook_extension", "widgets/lorebook"),
    *("benchmarks", "scripts"),
)
BEGIN, END = "<!-- tree: written by `make tree` -->\n```\n", "```\n<!-- end of tree -->"


def read_title(module: Path) -> str:
    """Return the first line of the module's docstring, without its full stop."""
    text = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0].rstrip(".:")


def list_entries(folder: Path, depth: int = 0) -> Iterator[tuple[str, str]]:
    """Yield (indented name, title) of each module below `folder`; a package stands for its `__init__`."""
    for path in sorted(folder.iterdir(), key=lambda path: (path.is_dir(), path.name)):
        indent = "  " * (depth + 1)
        if path.suffix == ".py" and path.name != "__init__.py":
            yield f"{indent}{path.name}", read_title(path)
        elif path.is_dir() and any(path.glob("*.py")):
            yield f"{indent}{path.name}/", _package_title(path)
            yield from list_entries(path, depth + 1)


def draw(root: Path) -> str:
    """Return the map of the packages and scripts below `root`, one line a file."""
    lines: list[str] = []
    for name in MAPPED:
        folder = root / name
        if folder.is_dir():
            entries = [(f"{name}/", _package_title(folder)), *list_entries(folder)]
            width = max(len(left) for left, _ in entries) + 2
            lines += [f"{left:<{width}}{title}".rstrip() for left, title in entries] + [""]
    return "\n".join(lines)


def _package_title(folder: Path) -> str:
    init = folder / "__init__.py"
    return read_title(init) if init.is_file() else ""


def insert(text: str, drawn: str) -> str:
    """Return the document `text` with `drawn` between its two marks. Raises ValueError where a mark is missing."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError("CONTRIBUTING.md has lost the marks of its tree.")
    return before + begin + drawn + end + after


def main() -> int:
    """Write the map."""
    document = ROOT / "CONTRIBUTING.md"
    document.write_text(insert(document.read_text(encoding="utf-8"), draw(ROOT)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
