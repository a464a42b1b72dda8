"""Opens JupyterLab on samples/ with the tour: `python -m scripts.lab`, inside the environment."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

from scripts.labfiles import place_extension
from scripts.places import BUILD, ROOT
from scripts.trouble import Trouble

TOUR = "tour.ipynb"


def command() -> list[str]:
    """Return how JupyterLab is started."""
    return [sys.executable, "-m", "jupyterlab", f"--LabApp.default_url=/lab/tree/{TOUR}"]


def environment(jupyter: Path) -> dict[str, str]:
    """Return this process's environment with lorebook's extension on Jupyter's paths, before whatever is there."""
    ours = {"JUPYTER_PATH": jupyter / "share", "JUPYTER_CONFIG_PATH": jupyter / "config"}
    before = {name: os.environ.get(name, "") for name in ours}
    paths = {name: os.pathsep.join(part for part in (str(path), before[name]) if part) for name, path in ours.items()}
    return {**os.environ, **paths}


def main() -> int:
    """Run JupyterLab in this terminal until it is stopped; returns its exit status, 1 where something is missing."""
    if importlib.util.find_spec("jupyterlab") is None:
        print("JupyterLab is not installed here. Type: make lab", file=sys.stderr)
        return 1
    try:
        jupyter = place_extension(BUILD / "jupyter")
        return subprocess.run(command(), cwd=ROOT / "samples", env=environment(jupyter), check=False).returncode
    except Trouble as trouble:
        print(trouble, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(main())
