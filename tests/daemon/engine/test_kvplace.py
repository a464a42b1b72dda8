from collections import namedtuple
from pathlib import Path

import pytest

from lorebook_api.home import Home
from lorebook_daemon.engine import kvplace
from lorebook_daemon.engine.diskblocks import BlockKey, DiskBlocks
from lorebook_daemon.engine.kvplace import KvBounds, kv_bounds, kv_folder, kv_root
from lorebook_daemon.settings import Settings

GB = 1 << 30
Memory = namedtuple("Memory", "total")
Disk = namedtuple("Disk", "free")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch):
    """Return a function that gives the machine its memory and its free disk, in GB."""

    def sized(memory: float, disk: float) -> None:
        monkeypatch.setattr(kvplace.psutil, "virtual_memory", lambda: Memory(int(memory * GB)))
        monkeypatch.setattr(kvplace.shutil, "disk_usage", lambda _: Disk(int(disk * GB)))

    return sized


@pytest.mark.parametrize(
    ("memory", "disk", "bounds"),
    [
        (8, 100, KvBounds(1024, 5120)),
        (64, 1000, KvBounds(2048, 8192)),
        (1, 0.5, KvBounds(128, 25)),
        (0, 0, KvBounds(0, 0)),
    ],
)
def test_bounds_follow_the_machine(machine, home: Home, memory: float, disk: float, bounds: KvBounds) -> None:
    machine(memory, disk)
    assert kv_bounds(Settings(), home) == bounds


def test_what_is_set_holds_and_off_is_off(machine, home: Home) -> None:
    machine(8, 100)
    assert kv_bounds(Settings(kv_memory_mb=7), home) == KvBounds(7, 5120)
    assert kv_bounds(Settings(kv_disk_mb=9), home) == KvBounds(1024, 9)
    assert kv_bounds(Settings(kv_disk_mb=9, kv_memory_mb=7, kv_reuse="off"), home) == KvBounds(0, 0)


def test_what_is_kept_does_not_make_the_bound_smaller(machine, home: Home) -> None:
    machine(8, 0)
    disk = DiskBlocks(kv_root(home) / "model", 50 << 20)
    disk.put(BlockKey(bytes(20), bytes(16)), bytes(41 << 20))
    assert disk.flush()
    disk.close()
    assert kv_bounds(Settings(), home).disk_mb == 2


def test_each_model_and_each_version_of_the_engine_has_its_folder(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = [tmp_path / "a.gguf", tmp_path / "b.gguf"]
    for model in models:
        model.write_text(model.name)
    folders = [kv_folder(model, home) for model in models]
    monkeypatch.setattr(kvplace, "engine_version", lambda: "9.9")
    folders += [kv_folder(model, home) for model in models]
    assert len(set(folders)) == 4
    assert {folder.parent for folder in folders} == {home.cache / "kv"}
