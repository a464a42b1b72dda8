"""Lays the extension's files out as an installed wheel would, for a JupyterLab that runs from a checkout."""

from __future__ import annotations

import shutil
from pathlib import Path

from scripts.places import ROOT
from scripts.trouble import Trouble

NAME = "lorebook-lab"
BUILT = ROOT / "extension" / "lorebook_extension" / "labextension"


def place_extension(folder: Path) -> Path:
    """Return `folder` with `share/` (for JUPYTER_PATH) and `config/` (for JUPYTER_CONFIG_PATH), made anew.

    Raises Trouble where the front end was not built.
    """
    if not (BUILT / "package.json").is_file():
        raise Trouble("The front end is not built.", "Type: make frontend")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(BUILT, folder / "share" / "labextensions" / NAME)
    config = folder / "config" / "jupyter_server_config.d"
    shutil.copytree(ROOT / "extension" / "jupyter-config", config)
    return folder
