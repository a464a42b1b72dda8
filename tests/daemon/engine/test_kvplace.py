from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace

import pytest

from lorebook_api.home import Home
from lorebook_daemon.engine import kvplace
from lorebook_daemon.engine.child.llama import Llama
from lorebook_daemon.engine.child.work import Piece
from lorebook_daemon.engine.diskblocks import BlockKey, DiskBlocks
from lorebook_daemon.engine.kvplace import KvBounds, KvUse, kv_bounds, kv_bytes_per_token, kv_folder, kv_root, kv_use
from lorebook_daemon.models.gguf_header import Field
from lorebook_daemon.settings import Settings
from tiny_models import ATTENTION, RECURRENT, tiny

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
    assert kv_use(Settings(), home) == KvUse(41.0, KvBounds(1024, 2))


def test_each_model_each_length_each_version_of_the_engine_and_each_type_of_kv_has_its_folder(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = [tmp_path / "a.gguf", tmp_path / "b.gguf"]
    for model in models:
        model.write_text(model.name)
    folders = [kv_folder(model, home, n_ctx) for model in models for n_ctx in (4096, 8192)]
    monkeypatch.setattr(kvplace, "engine_version", lambda: "9.9")
    folders += [kv_folder(model, home, 8192) for model in models]
    monkeypatch.setattr(kvplace, "KV_TYPE", "q8_0")
    folders += [kv_folder(model, home, 8192) for model in models]
    assert len(set(folders)) == 8
    assert {folder.parent for folder in folders} == {home.cache / "kv"}


@pytest.mark.parametrize(
    ("fields", "size"),
    [
        (
            {"block_count": 28, "embedding_length": 1536, "attention.head_count": 12, "attention.head_count_kv": 2},
            28672,
        ),
        ({"block_count": 2, "embedding_length": 64, "attention.head_count": 4}, 2 * 4 * 32 * 2),
        (
            {"block_count": 2, "embedding_length": 64, "attention.head_count": 4, "attention.key_length": 8}
            | {"attention.value_length": 24},
            2 * 4 * 32 * 2,
        ),
        (
            {"block_count": 3, "embedding_length": 64, "attention.head_count": 4, "attention.head_count_kv": (0, 2, 0)},
            128,
        ),
        ({"block_count": 2, "embedding_length": 64, "attention.head_count": 0}, 0),
        ({"block_count": 2, "embedding_length": 64}, 0),
        ({"block_count": "2", "embedding_length": None}, 0),
        ({}, 0),
    ],
)
def test_bytes_of_a_token_as_the_model_s_file_tells_them(
    monkeypatch: pytest.MonkeyPatch, fields: dict, size: int
) -> None:
    found = {f"arch.{key}": Field("uint32", value) for key, value in fields.items()}
    contents = SimpleNamespace(header=SimpleNamespace(architecture="arch"), fields=found)
    monkeypatch.setattr(kvplace, "read_contents", lambda path: contents)
    assert kv_bytes_per_token(Path("m.gguf")) == size


@pytest.mark.parametrize("architecture", ATTENTION)
def test_bytes_of_a_token_are_those_of_llama_cpp(tmp_path: Path, architecture: str) -> None:
    path = tiny(tmp_path / "m.gguf", architecture)
    llama = Llama(path, 256, 1, extra_bufts=False)
    sizes = []
    for start in (0, 16):
        llama.decode([Piece(0, start, range(1, 17))])
        sizes.append(len(llama.save(0)))
    beside = 16  # a state holds the place of each token too
    assert 0 <= (sizes[1] - sizes[0]) / 16 - kv_bytes_per_token(path) <= beside


@pytest.mark.parametrize("architecture", RECURRENT)
def test_a_state_of_fixed_size_takes_nothing_for_a_token(tmp_path: Path, architecture: str) -> None:
    assert kv_bytes_per_token(tiny(tmp_path / "m.gguf", architecture)) == 0
