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


BRING = ("-m", "lorebook_daemon", "models", "pull", "auto")
"""What the first question would have to wait for: the model, where it is not there yet."""


def command() -> list[str]:
    """Return how JupyterLab is started; where its port is taken it takes the next, and it prints its address."""
    started = [sys.executable, "-m", "jupyterlab", f"--LabApp.default_url=/lab/tree/{TOUR}"]
    # The only user of a container is root, whom Jupyter lets in only when told to.
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    return [*started, "--allow-root"] if is_root else started


def environment(jupyter: Path) -> dict[str, str]:
    """Return this process's environment with lorebook's extension on Jupyter's paths, before whatever is there.

    The commands of this environment come first too, so that `!lorebook …` in a notebook is ours.
    """
    ours = {
        "JUPYTER_PATH": jupyter / "share",
        "JUPYTER_CONFIG_PATH": jupyter / "config",
        "PATH": Path(sys.executable).parent,
    }
    before = {name: os.environ.get(name, "") for name in ours}
    paths = {name: os.pathsep.join(part for part in (str(path), before[name]) if part) for name, path in ours.items()}
    return {**os.environ, **paths}


def main() -> int:
    """Bring the model, then run JupyterLab in this terminal until it is stopped.

    Returns the exit status of what ended it, 1 where something is missing.
    """
    if importlib.util.find_spec("jupyterlab") is None:
        print("JupyterLab is not installed here. Type: make lab", file=sys.stderr)
        return 1
    try:
        jupyter = place_extension(BUILD / "jupyter")
        code = subprocess.run([sys.executable, *BRING], cwd=ROOT, check=False).returncode
        if code != 0:
            return code
        return subprocess.run(command(), cwd=ROOT / "samples", env=environment(jupyter), check=False).returncode
    except Trouble as trouble:
        print(trouble, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(main())
