"""From an installation to a cited answer: brings a model, indexes samples/, asks one question about it."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

from scripts.places import ROOT

QUESTION = "Why was the Hampel filter given up?"
STEPS = (
    ("models", "pull", "auto"),
    ("index", "samples"),
    ("ask", QUESTION, "--root", "samples"),
)


def show(command: tuple[str, ...]) -> str:
    """Return `command` as a person would type it in this checkout."""
    return "lorebook " + " ".join(shlex.quote(part) if not part.isidentifier() else part for part in command)


def closing(lorebook: Path) -> str:
    """Return the next three things to type; `lorebook` is the command's place in the environment."""
    path = os.path.relpath(lorebook, ROOT)
    return (
        "\nNext, type:\n"
        f'  {path} ask "your own question" --root DIR     about a folder of yours\n'
        f'  {path} search "a few words" --root samples    the passages alone\n'
        f"  {path} doctor                                 what is ready, and what is not\n"
    )


def run(lorebook: Path) -> int:
    """Run the three commands in this terminal; returns the first exit status that is not 0, else 0."""
    for command in STEPS:
        print(f"\n$ {show(command)}", flush=True)
        code = subprocess.run([lorebook, *command], cwd=ROOT, check=False).returncode
        if code != 0:
            print("The demo stopped there; `make demo` goes on from that step.", file=sys.stderr)
            return code
    print(closing(lorebook), flush=True)
    return 0


def main() -> int:
    """Run the demo with the `lorebook` of this interpreter's environment."""
    # Not resolved: the environment's python is a link to the one that made it.
    name = "lorebook.exe" if sys.platform == "win32" else "lorebook"
    try:
        return run(Path(sys.executable).with_name(name))
    except KeyboardInterrupt:
        print("Stopped. `make demo` goes on from here.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
