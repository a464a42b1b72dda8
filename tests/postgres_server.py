"""A real PostgreSQL with pgvector for the tests: a cluster in a temporary folder, reached through a socket there."""

import getpass
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PLACES = ("/usr/lib/postgresql", "/usr/pgsql", "/opt/homebrew/opt", "/usr/local/opt")
ADMINISTRATOR = "postgres"


def programs() -> Path | None:
    """Return the folder with `initdb` and `postgres`, the newest of several; None where there is none."""
    found = shutil.which("pg_ctl")
    folders = [Path(found).resolve().parent] if found else []
    for place in map(Path, PLACES):
        folders += sorted(place.glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "initdb").exists() and (folder / "postgres").exists()), None)


def lacking() -> str:
    """Return what is lacking for the tests, empty where nothing is."""
    folder = programs()
    if os.name == "nt":
        return "the tests start PostgreSQL on a unix socket"
    if folder is None:
        return "PostgreSQL's server is not installed"
    if os.getuid() == 0 and shutil.which("setpriv") is None:
        return "PostgreSQL does not run as root, and setpriv is not installed"
    extensions = subprocess.run([folder / "pg_config", "--sharedir"], capture_output=True, text=True, check=False)
    if not Path(extensions.stdout.strip(), "extension", "vector.control").exists():
        return "pgvector is not installed"
    return ""


@contextmanager
def running(place: Path) -> Iterator[str]:
    """Run a server over a new cluster in `place` until the end; yield the address of an empty database."""
    folder = programs()
    assert folder is not None
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
