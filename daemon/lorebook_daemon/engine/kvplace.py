"""Where the KV of passages is kept, and how much of it: what the settings leave open is chosen from the machine."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from lorebook_api.home import Home
from lorebook_daemon.engine.diskblocks import kept_bytes
from lorebook_daemon.engine.kvtype import KV_BYTES, KV_TYPE
from lorebook_daemon.models.gguf_header import Field, read_contents
from lorebook_daemon.models.identity import identity
from lorebook_daemon.models.machine import engine_version
from lorebook_daemon.settings import Settings

_MEMORY_SHARE, _MEMORY_MOST_MB = 8, 2048
_DISK_SHARE, _DISK_MOST_MB = 20, 8192


@dataclass(frozen=True)
class KvBounds:
    """How much KV is kept at the most, in MB of 2**20 bytes: by one engine in memory, of all models on disk."""

    memory_mb: int
    disk_mb: int


@dataclass(frozen=True)
class KvUse:
    """How much KV is kept on disk, in MB of 2**20 bytes, and how much may be kept."""

    disk_mb: float
    most: KvBounds


def kv_root(home: Home) -> Path:
    """Return the folder of all models' blocks; it may not be there yet."""
    return home.cache / "kv"


def kv_folder(model: Path, home: Home, n_ctx: int) -> Path:
    """Return the folder for the blocks of a GGUF file in a context of `n_ctx` tokens.

    llama.cpp's state is only good for the version that wrote it and for one type of KV, and some models (LongRoPE,
    arXiv:2402.13753) place tokens in another way in a longer context. Blocking, the first time for some seconds (see
    `identity`). Raises Unusable where the file cannot be read.
    """
    return kv_root(home) / f"{identity(model, home)[:32]}-{engine_version()}-{n_ctx}-{KV_TYPE}"


def kv_bounds(settings: Settings, home: Home) -> KvBounds:
    """Return the bounds: what the settings say, and for 0 what suits this machine.

    That is an eighth of the memory, at most 2 GB, and a twentieth of the free disk under the home's cache, at most
    8 GB. With `kv_reuse` off nothing is kept.
    """
    if settings.kv_reuse == "off":
        return KvBounds(0, 0)
    return KvBounds(settings.kv_memory_mb or _memory_mb(), settings.kv_disk_mb or _disk_mb(home))


def kv_use(settings: Settings, home: Home) -> KvUse:
    """Return how much is kept now of all models, and the bounds that hold."""
    return KvUse(round(kept_bytes(kv_root(home)) / 2**20, 1), kv_bounds(settings, home))


def kv_bytes_per_token(model: Path) -> int:
    """Return about how many bytes of KV a token takes; 0 where there is no attention, or the file does not say.

    Raises Unusable for anything but a whole GGUF file.
    """
    contents = read_contents(model)
    architecture = contents.header.architecture

    def told(key: str) -> list[int]:
        return _numbers(contents.fields, f"{architecture}.{key}")

    layers, width = (sum(told(key)[:1]) for key in ("block_count", "embedding_length"))
    heads = told("attention.head_count") or [0]
    of_layers = told("attention.head_count_kv") or heads
    total = sum(of_layers) if len(of_layers) > 1 else layers * of_layers[0]
    each = width // max(heads) if max(heads) else 0
    lengths = [(told(f"attention.{side}_length") or [each])[0] for side in ("key", "value")]
    return total * sum(lengths) * KV_BYTES


def _numbers(fields: Mapping[str, Field], key: str) -> list[int]:
    """Return a field's number, or its numbers for each layer; none where it holds something else."""
    value: Any = fields[key].value if key in fields else ()
    values = value if isinstance(value, tuple) else (value,)
    return [number for number in values if isinstance(number, int)]


def _memory_mb() -> int:
    return min(_MEMORY_MOST_MB, (psutil.virtual_memory().total >> 20) // _MEMORY_SHARE)


def _disk_mb(home: Home) -> int:
    """Return what suits the disk; what is kept there now counts as free, so that the bound does not shrink with it."""
    there = next(folder for folder in (home.cache, *home.cache.parents) if folder.is_dir())
    free = shutil.disk_usage(there).free + kept_bytes(kv_root(home))
    return min(_DISK_MOST_MB, (free >> 20) // _DISK_SHARE)
