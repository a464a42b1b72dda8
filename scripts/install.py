"""Makes `.venv/` from a bare Python: `python3 -m scripts.install`; `--lab` adds JupyterLab, `--dev` what tests need.

Each step leaves a stamp with the inputs that it was finished for; started again, finished steps are passed over.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.child import CountedPackages, run_logged
from scripts.pins import read_pins
from scripts.places import BUILD, CONSTRAINTS, ROOT, VENV, python_of
from scripts.stamps import Stamps, make_key
from scripts.trouble import Trouble
from scripts.turn import take_turn
from scripts.wheels import build_engine, build_vectors, engine_wheel, vectors_wheel


@dataclass(frozen=True)
class Wish:
    """What one step installs: lorebook, editable, with these extras; `group` is one of pyproject.toml's, or empty."""

    label: str
    extras: str
    group: str = ""


WISHES = {
    "lorebook": Wish("installing lorebook", "daemon"),
    "lab": Wish("installing JupyterLab", "daemon,lab"),
    "dev": Wish("installing the test tools", "daemon", "dev"),
}


@dataclass(frozen=True)
class Setup:
    """One environment in the making."""

    venv: Path
    stamps: Stamps
    pins: dict[str, str]

    @property
    def python(self) -> Path:
        """The environment's interpreter."""
        return python_of(self.venv)

    def make_environment(self) -> None:
        """Make the environment; made anew where it was made by a Python that is another one or gone."""
        key = make_key(sys.version_info[:3], sys.base_prefix)
        before = self.stamps.read("environment")
        if before == key and self.python.exists():
            return
        clear = ["--clear"] if before else []
        run_logged(
            "making .venv",
            [sys.executable, "-m", "venv", *clear, self.venv],
            BUILD / "environment.log",
            lambda line: None,
        )
        self.stamps.mark("environment", key)

    def bring_pip(self) -> None:
        """Bring the pinned pip: the one that came with Python may not know dependency groups (25.1)."""
        version = self.pins["pip"]
        if self.stamps.read("pip") == version:
            return
        self._install("bringing pip", [f"pip=={version}"], 1)
        self.stamps.mark("pip", version)

    def build_and_install(self) -> None:
        """Install the two wheels that are built here, building them first where no earlier build is kept."""
        engine, vectors = engine_wheel(self.pins["llama-cpp-python"]), vectors_wheel(self.pins["hnswlib"])
        for step, wheel, build in (("vectors", vectors, build_vectors), ("engine", engine, build_engine)):
            if self.stamps.read(step) == wheel.key:
                continue
            built = build(self.python, wheel)
            # Forced: pip takes one version for the same thing, whatever it was built with.
            self._install(f"installing {wheel.name}", ["--no-deps", "--force-reinstall", str(built)], 1)
            self.stamps.mark(step, wheel.key)

    def install_rest(self, step: str) -> None:
        """Install what `step` of WISHES wants, all of it pinned."""
        key = make_key(CONSTRAINTS.read_text(encoding="utf-8"), read_wishes(ROOT / "pyproject.toml"))
        if self.stamps.read(step) == key:
            return
        wish = WISHES[step]
        group = ["--group", f"{ROOT / 'pyproject.toml'}:{wish.group}"] if wish.group else []
        self._install(wish.label, ["--editable", f"{ROOT}[{wish.extras}]", *group], len(self.pins))
        self.stamps.mark(step, key)

    def check_engine(self) -> None:
        """Raise Trouble where the engine cannot be loaded, which no later message would say as plainly."""
        key = self.stamps.read("engine")
        if self.stamps.read("engine-loads") == key:
            return
        child = subprocess.run([self.python, "-c", "import llama_cpp"], capture_output=True, text=True, check=False)
        if child.returncode != 0:
            said = (child.stderr.strip().splitlines() or [f"it ended with {child.returncode}"])[-1]
            raise Trouble(f"The engine was built but does not load: {said}", f"Type: rm -rf {VENV.name} && make demo")
        self.stamps.mark("engine-loads", key)

    def _install(self, label: str, wanted: Sequence[str], packages: int) -> None:
        # The constraints hold for the tools that build lorebook itself, too.
        pinned = ["--constraint", str(CONSTRAINTS)]
        if self.stamps.read("pip"):
            pinned += ["--build-constraint", str(CONSTRAINTS)]
        run_logged(
            label,
            [self.python, "-m", "pip", "install", *pinned, *wanted],
            BUILD / "install.log",
            CountedPackages(packages),
        )


def read_wishes(pyproject: Path) -> dict[str, object]:
    """Return the parts of pyproject.toml that decide what is installed: not the linter's settings."""
    tables = tomllib.loads(pyproject.read_text(encoding="utf-8"))
    return {name: tables[name] for name in ("build-system", "project", "dependency-groups")}


def install(steps: Sequence[str]) -> None:
    """Bring the environment to where constraints.txt and pyproject.toml want it, WISHES in order. Raises Trouble."""
    setup = Setup(VENV, Stamps(VENV / "lorebook-stamps"), read_pins(CONSTRAINTS))
    with take_turn(BUILD / "lock"):
        setup.make_environment()
        setup.bring_pip()
        setup.build_and_install()
        for step in steps:
            setup.install_rest(step)
        setup.check_engine()


def main() -> int:
    """Run the set-up; returns 0, 1 after one line on what is wrong, 130 when interrupted."""
    parser = argparse.ArgumentParser(prog="python3 -m scripts.install", description="Make .venv/ for this checkout.")
    parser.add_argument("--lab", action="append_const", const="lab", dest="steps", help="bring JupyterLab as well")
    parser.add_argument(
        "--dev", action="append_const", const="dev", dest="steps", help="bring what linting and testing need as well"
    )
    arguments = parser.parse_args()
    try:
        install(["lorebook", *(arguments.steps or [])])
    except Trouble as trouble:
        print(trouble, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{error}. Mend that and type the same command again.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped. The same command goes on from here.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
