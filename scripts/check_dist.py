"""Checks what `make dist` made: the wheel holds exactly our files, the source archive can make it again."""

from __future__ import annotations

import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

from scripts.places import ROOT

FRONTEND = "share/jupyter/labextensions/lorebook-lab"
"""Where the front end goes; `make frontend` builds it, and hatchling says nothing where nobody did."""


def list_sources(root: Path) -> set[str]:
    """Return the files of the packages and shared folders that pyproject.toml names, as the wheel should hold them.

    A shared folder that lies inside a package goes to its own place alone.
    """
    tables = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = tables["tool"]["hatch"]["build"]["targets"]["wheel"]
    shared: dict[str, str] = wheel.get("shared-data", {})
    found = {place for source, place in shared.items() if (root / source).is_file()}
    for source, place in ({package: Path(package).name for package in wheel["packages"]} | shared).items():
        folder = root / source
        elsewhere = [root / other for other in shared if other != source]
        for path in folder.rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts and not any(map(path.is_relative_to, elsewhere)):
                found.add(f"{place}/{path.relative_to(folder).as_posix()}")
    return found


def list_wheel(wheel: Path) -> set[str]:
    """Return the files in the wheel, without its own metadata, shared ones where they will be installed."""
    with zipfile.ZipFile(wheel) as file:
        return {name.rpartition(".data/data/")[2] for name in file.namelist() if ".dist-info/" not in name}


def find_faults(root: Path, dist: Path) -> list[str]:
    """Return what is wrong with the archives in `dist`, one line each; empty when nothing is."""
    wheels, archives = list(dist.glob("*.whl")), list(dist.glob("*.tar.gz"))
    if len(wheels) != 1 or len(archives) != 1:
        return [f"{dist} holds {len(wheels)} wheels and {len(archives)} source archives, not one of each."]
    sources, packed = list_sources(root), list_wheel(wheels[0])
    with tarfile.open(archives[0]) as file:
        names = {name.partition("/")[2] for name in file.getnames()}
    faults = [f"The wheel lacks {name}." for name in sorted(sources - packed)]
    faults += [f"The wheel holds {name}, which is none of ours." for name in sorted(packed - sources)]
    if any(name.startswith(FRONTEND) for name in sources) and f"{FRONTEND}/package.json" not in packed:
        faults.append("The wheel lacks the JupyterLab panel. Type: make frontend")
    needed = ("pyproject.toml", "README.md", "LICENSE", "constraints.txt", "Makefile", "scripts/install.py")
    return faults + [f"The source archive lacks {name}." for name in needed if name not in names]


def main() -> int:
    """Check the folder given, `dist` by default; returns 1 after a line for each fault."""
    dist = Path(sys.argv[1] if len(sys.argv) > 1 else "dist")
    faults = find_faults(ROOT, dist)
    for fault in faults:
        print(fault, file=sys.stderr)
    if not faults:
        print("The wheel holds all of ours; the source archive is whole.")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
