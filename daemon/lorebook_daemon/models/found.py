"""GGUF files that other programs on this machine already hold. They are used where they lie, never copied or written.

A folder that is missing or cannot be read has nothing to offer; that is no error. To look in one more program's
folder: one function, one line in `FINDERS`.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

_SHARD = re.compile(r"-(\d{5})-of-\d{5}$")
_DIGEST = re.compile(r"sha256[:-]([0-9a-f]{64})")
_OLLAMA_WEIGHTS = "application/vnd.ollama.image.model"


@dataclass(frozen=True)
class Found:
    """A GGUF file that belongs to another program; `sha256` where that program's own records give it."""

    name: str
    path: Path
    size: int
    origin: str
    sha256: str | None = None


def model_name(path: Path) -> str | None:
    """Return what to call the GGUF file at `path`; None for what is no model by itself.

    A model in several files goes by its first (the engine opens the others), and an image encoder (`mmproj`) is
    half a model.
    """
    if path.suffix.lower() != ".gguf" or path.name.lower().startswith("mmproj"):
        return None
    shard = _SHARD.search(path.stem)
    if shard is None:
        return path.stem
    return path.stem[: shard.start()] if shard[1] == "00001" else None


def found_elsewhere() -> list[Found]:
    """Return what other programs hold, in the order in which it is looked for."""
    return [found for find in FINDERS.values() for found in find()]


def _from_folder(folder: Path, origin: str) -> Iterator[Found]:
    """Yield the models in and below `folder`, in the order of their paths."""
    for here, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            path = Path(here, name)
            called = model_name(path)
            if called is not None and path.is_file():
                yield Found(called, path, path.stat().st_size, origin, _sha256_in_link(path))


def _sha256_in_link(path: Path) -> str | None:
    """Return the checksum that names the file behind a link, as the Hugging Face cache lays large files down."""
    target = path.resolve().name
    return target if re.fullmatch(r"[0-9a-f]{64}", target) else None


def _huggingface() -> Iterator[Found]:
    for snapshots in sorted(_huggingface_cache().glob("models--*/snapshots")):
        yield from _from_folder(snapshots, "huggingface")


def _huggingface_cache() -> Path:
    """Return where huggingface_hub keeps what it brought, by the variables that it reads itself."""
    if cache := os.environ.get("HF_HUB_CACHE"):
        return Path(cache).expanduser()
    if home := os.environ.get("HF_HOME"):
        return Path(home).expanduser() / "hub"
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "huggingface" / "hub"


def _ollama() -> Iterator[Found]:
    if moved := os.environ.get("OLLAMA_MODELS"):
        places = [Path(moved).expanduser()]
    else:
        # The second is where Ollama's system service on Linux keeps its own.
        places = [Path("~/.ollama/models").expanduser(), Path("/usr/share/ollama/.ollama/models")]
    for place in places:
        for here, folders, tags in os.walk(place / "manifests"):
            folders.sort()
            for tag in sorted(tags):
                yield from _ollama_model(place, Path(here, tag))


def _ollama_model(place: Path, manifest: Path) -> Iterator[Found]:
    """Yield the weights that one of Ollama's manifests names, if they are there."""
    try:
        layers = json.loads(manifest.read_bytes())["layers"]
        digests = [str(layer["digest"]) for layer in layers if layer["mediaType"] == _OLLAMA_WEIGHTS]
    except (OSError, ValueError, KeyError, TypeError):
        return
    digest = _DIGEST.fullmatch(digests[0]) if digests else None
    if digest is None:
        return
    blob = place / "blobs" / f"sha256-{digest[1]}"
    if blob.is_file():
        name = _ollama_name(manifest.relative_to(place / "manifests").parts)
        yield Found(name, blob, blob.stat().st_size, "ollama", digest[1])


def _ollama_name(parts: tuple[str, ...]) -> str:
    """Return the name a person types for the manifest at host/namespace/model/tag."""
    *before, tag = parts
    if before[:2] == ["registry.ollama.ai", "library"]:
        before = before[2:]
    elif before[:1] == ["registry.ollama.ai"]:
        before = before[1:]
    return f"{'/'.join(before)}:{tag}"


def _lmstudio() -> Iterator[Found]:
    homes = [Path("~/.lmstudio").expanduser(), Path("~/.cache/lm-studio").expanduser()]
    pointer = Path("~/.lmstudio-home-pointer").expanduser()
    with contextlib.suppress(OSError, UnicodeDecodeError):  # the file is there only where LM Studio was moved
        homes.insert(0, Path(pointer.read_text(encoding="utf-8").strip()))
    for home in dict.fromkeys(homes):
        yield from _from_folder(home / "models", "lmstudio")


FINDERS: dict[str, Callable[[], Iterator[Found]]] = {
    "huggingface": _huggingface,
    "ollama": _ollama,
    "lmstudio": _lmstudio,
}
