"""Links from the notebook to the lines and cells that an answer cites."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from lorebook_api.place import Located, find_file


def notebook_folder(shell: Any = None) -> Path:
    """Return the folder that relative links count from: where the kernel started, which is where the notebook lies."""
    return Path(getattr(shell, "starting_dir", None) or Path.cwd())


def target_of(item: Located, root: str, folder: Path) -> str:
    """Return a relative link to the cell (`a.ipynb#cell-id=…`) or the line (`a.py#L10`); absolute on another drive."""
    file = find_file(item, root).absolute()
    try:
        path = Path(os.path.relpath(file, folder)).as_posix()
    except ValueError:
        path = file.as_uri()
    if item.cell_id is not None:
        return f"{path}#cell-id={item.cell_id}"
    return f"{path}#L{item.start_line}"
