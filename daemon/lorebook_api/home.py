"""Where lorebook keeps its files: four folders, all moved by `LOREBOOK_HOME`."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from lorebook_api.errors import StorageFailed


@dataclass(frozen=True)
class Home:
    """The folders that lorebook writes to; nothing is written anywhere else."""

    config: Path
    """`config.toml`, if the person wrote one."""
    state: Path
    """What cannot be made again: history, votes."""
    cache: Path
    """What can be made again: indexes, the probe's results."""
    models: Path
    """GGUF files and embedders."""
    runtime: Path
    """`daemon.json`, locks, logs."""

    @property
    def daemon_file(self) -> Path:
        """The runtime file that names the running daemon."""
        return self.runtime / "daemon.json"

    @property
    def log_file(self) -> Path:
        """The daemon's log."""
        return self.runtime / "daemon.log"

    @property
    def tools_switch(self) -> Path:
        """A file that is there while other programs' models may use lorebook's tools: `lorebook mcp --enable`."""
        return self.state / "tools.enabled"

    def make(self) -> Home:
        """Create the folders, private to the user; raises StorageFailed where that cannot be."""
        for folder in (self.state, self.cache, self.models, self.runtime):
            try:
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                with tempfile.TemporaryFile(dir=folder):
                    pass  # it can be written
            except OSError as error:
                raise StorageFailed(
                    f"{folder} cannot be written ({error.strerror or error}).",
                    "Set LOREBOOK_HOME to a folder that can: LOREBOOK_HOME=~/lorebook lorebook …",
                ) from error
        return self


def find_home() -> Home:
    """Return the folders for this user: below `LOREBOOK_HOME` where that is set, else where the platform puts them."""
    moved = os.environ.get("LOREBOOK_HOME")
    if moved:
        root = Path(moved).expanduser().absolute()
        return Home(root, root / "state", root / "cache", root / "models", root / "runtime")
    dirs = platformdirs.PlatformDirs("lorebook", appauthor=False)
    state = Path(dirs.user_state_dir)
    # Not the platform's runtime folder: where a session has none, that is a folder in /tmp that others can make first.
    return Home(
        Path(dirs.user_config_dir), state, Path(dirs.user_cache_dir), Path(dirs.user_data_dir) / "models", state / "run"
    )
