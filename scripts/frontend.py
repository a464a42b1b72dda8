"""Builds the front end: `python3 -m scripts.frontend`, or with `--check` looks it over as well. Wants Node.js.

Each project is one folder with a package-lock.json; what was built from the same files is not built again.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from scripts.child import run_logged
from scripts.places import BUILD, ROOT
from scripts.stamps import Stamps, make_key
from scripts.trouble import Trouble
from scripts.turn import take_turn

PARTS = Path("extension/parts")

MOST_BYTES = 300_000
"""Of JavaScript, for what a page loads at once: the panel, or one widget."""


@dataclass(frozen=True)
class Project:
    """A folder of TypeScript; `built` is where its bundle goes, None for one that others bundle."""

    folder: Path
    built: Path | None = None
    split: bool = False
    """Whether a page loads one of its scripts at a time."""

    @property
    def name(self) -> str:
        """What it is called in bars and logs."""
        return self.folder.name


PROJECTS = (
    Project(PARTS),
    Project(Path("extension/labextension"), Path("extension/lorebook_extension/labextension")),
    Project(Path("widgets/frontend"), Path("widgets/lorebook/static"), split=True),
)


@dataclass(frozen=True)
class Workshop:
    """Where the projects are built, and with which npm."""

    root: Path
    npm: str
    stamps: Stamps
    logs: Path

    def make(self, project: Project, check: bool) -> None:
        """Bring what the project wants, build it, and with `check` run its own checks. Raises Trouble."""
        self._bring(project)
        if project.built is not None:
            self._build(project, self.root / project.built)
            self._weigh(project, self.root / project.built)
        if check:
            self._once("check", f"checking {project.name}", project, ["run", "check"])

    def _bring(self, project: Project) -> None:
        folder = self.root / project.folder
        key = make_key((folder / "package-lock.json").read_text(encoding="utf-8"))
        if self.stamps.read(f"{project.name}-packages") != key or not (folder / "node_modules").is_dir():
            self._npm(f"bringing {project.name}'s packages", folder, ["install", "--no-save"])
            self.stamps.mark(f"{project.name}-packages", key)

    def _build(self, project: Project, built: Path) -> None:
        if not built.is_dir():
            self.stamps.mark(f"{project.name}-build", "")
        self._once("build", f"building {project.name}", project, ["run", "build"], built)

    def _weigh(self, project: Project, built: Path) -> None:
        sizes = [path.stat().st_size for path in built.rglob("*.js")]
        loaded = max(sizes, default=0) if project.split else sum(sizes)
        if loaded > MOST_BYTES:
            hint = "See which package grew: npm ls --prefix " + project.folder.as_posix()
            raise Trouble(f"A page would load {loaded:,} bytes of {project.name}, above {MOST_BYTES:,}.", hint)

    def _once(self, step: str, label: str, project: Project, words: list[str], built: Path | None = None) -> None:
        """Run a step unless it was finished for the same sources; what it built before goes first."""
        key = make_key(*read_sources(self.root, project))
        if self.stamps.read(f"{project.name}-{step}") == key:
            return
        if built is not None:
            shutil.rmtree(built, ignore_errors=True)
        self._npm(label, self.root / project.folder, words)
        self.stamps.mark(f"{project.name}-{step}", key)

    def _npm(self, label: str, folder: Path, words: list[str]) -> None:
        command: list[str | Path] = [self.npm, "--prefix", folder, *words]
        run_logged(label, command, self.logs / "frontend.log", lambda line: None, {"NO_UPDATE_NOTIFIER": "1"})


def read_sources(root: Path, project: Project) -> Iterator[str]:
    """Yield name and text of each file that the project's bundle depends on; those of the shared parts count."""
    for folder in {PARTS, project.folder}:
        inside = (root / folder).rglob("*")
        files = (path for path in inside if path.is_file() and not {"node_modules", "lib"} & set(path.parts))
        for path in sorted(files):
            yield path.relative_to(root).as_posix()
            yield path.read_text(encoding="utf-8")


def find_npm() -> str:
    """Return npm's place. Raises Trouble where it is not installed."""
    npm = shutil.which("npm")
    if npm is None:
        hint = "Install Node.js 20 or later (https://nodejs.org), then type: make frontend"
        raise Trouble("There is no npm, which builds the JupyterLab panel and the widgets.", hint)
    return npm


def build(root: Path, check: bool) -> None:
    """Build every project that is there. Raises Trouble."""
    workshop = Workshop(root, find_npm(), Stamps(BUILD / "frontend"), BUILD)
    with take_turn(BUILD / "frontend.lock"):
        for project in PROJECTS:
            if (root / project.folder).is_dir():
                workshop.make(project, check)


def must_check(environment: Mapping[str, str]) -> bool:
    """Return whether a missing tool is a failure: in CI everything is checked."""
    return environment.get("CI", "") not in {"", "0", "false"}


def main() -> int:
    """Build, with `--check` check; returns 1 after one line on what is wrong.

    A check without npm is passed over outside of CI, and says so: the daemon and its tests need no Node.js.
    """
    parser = argparse.ArgumentParser(prog="python3 -m scripts.frontend", description="Build the front end.")
    parser.add_argument("--check", action="store_true", help="run types, lint and unit tests as well")
    arguments = parser.parse_args()
    try:
        build(ROOT, arguments.check)
    except Trouble as trouble:
        print(trouble, file=sys.stderr)
        if arguments.check and shutil.which("npm") is None and not must_check(os.environ):
            print("The front end was not checked.", file=sys.stderr)
            return 0
        return 1
    except KeyboardInterrupt:
        print("Stopped. The same command goes on from here.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
