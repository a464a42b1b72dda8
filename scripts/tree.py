"""Writes what is drawn from the code into the documents: `make tree`.

The map of the code in CONTRIBUTING.md, from the first line of each module, and the table of settings in
docs/settings.md, from the daemon's `Settings`.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from scripts.places import ROOT

MAPPED = (
    *("daemon/lorebook_api", "daemon/lorebook_daemon", "extension/lorebook_extension", "widgets/lorebook"),
    *("benchmarks", "scripts"),
)
BEGIN, END = "<!-- tree: written by `make tree` -->\n```\n", "```\n<!-- end of tree -->"
TABLE = "<!-- settings: written by `make tree` -->\n", "<!-- end of settings -->"
SETTINGS = "daemon/lorebook_daemon/settings.py"


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


def table(source: str) -> str:
    """Return the settings as rows of Markdown, from the class `Settings` in a module's text."""
    module = ast.parse(source)
    (found,) = (one for one in module.body if isinstance(one, ast.ClassDef) and one.name == "Settings")
    rows = ["| setting | if not set | |", "|---|---|---|"]
    for field, told in pairwise(found.body):
        if isinstance(field, ast.AnnAssign) and isinstance(told, ast.Expr) and isinstance(told.value, ast.Constant):
            meaning = " ".join(str(told.value.value).split()).replace("|", "\\|")
            rows.append(f"| `{ast.unparse(field.target)}` | `{_default(field.value)}` | {meaning} |")
    return "\n".join(rows) + "\n"


def _default(value: ast.expr | None) -> str:
    if isinstance(value, ast.Call):  # field(default=…)
        (value,) = (one.value for one in value.keywords if one.arg == "default")
    default = ast.literal_eval(value) if value is not None else ""
    return {True: "true", False: "false"}[default] if isinstance(default, bool) else repr(default).replace("'", '"')


def insert(text: str, drawn: str, marks: tuple[str, str] = (BEGIN, END)) -> str:
    """Return the document `text` with `drawn` between its two marks. Raises ValueError where a mark is missing."""
    before, begin, rest = text.partition(marks[0])
    _, end, after = rest.partition(marks[1])
    if not begin or not end:
        raise ValueError(f"a document has lost its marks: {marks[0].strip()}")
    return before + begin + drawn + end + after


def main() -> int:
    """Write the map and the table."""
    _write(ROOT / "CONTRIBUTING.md", draw(ROOT), (BEGIN, END))
    _write(ROOT / "docs" / "settings.md", table((ROOT / SETTINGS).read_text(encoding="utf-8")), TABLE)
    return 0


def _write(document: Path, drawn: str, marks: tuple[str, str]) -> None:
    document.write_text(insert(document.read_text(encoding="utf-8"), drawn, marks), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
