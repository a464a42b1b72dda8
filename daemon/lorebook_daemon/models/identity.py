"""Which weights a GGUF file holds, whatever it is called and wherever it lies."""

from __future__ import annotations

import hashlib
import logging
import re
from pathlib import Path
from typing import Any

from lorebook_api.errors import StorageFailed, Unusable
from lorebook_api.home import Home
from lorebook_daemon.models.catalogue import CATALOGUE
from lorebook_daemon.models.json_file import change_object, read_object

log = logging.getLogger(__name__)

_FIRST_SHARD = re.compile(r"-00001-of-(\d{5})$")


def identity(path: Path, home: Home) -> str:
    """Return the sha256 (hexadecimal) of the GGUF file at `path`; of a model in several files, that of their sha256s.

    A file is read once (some seconds for 1 GB), and again when its size or time changed; one that lorebook brought was
    checked when it came, and is not read. Blocking. Raises Unusable where a file cannot be read.
    """
    files = _shards(path.absolute())
    digests = [_sha256(file, home) for file in files]
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


def _shards(path: Path) -> list[Path]:
    """Return the files of the model whose first, or only, file is at `path`."""
    shard = _FIRST_SHARD.search(path.stem)
    if shard is None:
        return [path]
    start = path.stem[: shard.start()]
    return [path.with_name(f"{start}-{n:05d}-of-{shard[1]}{path.suffix}") for n in range(1, int(shard[1]) + 1)]


def _sha256(path: Path, home: Home) -> str:
    brought = {known.place(home.models): known for known in CATALOGUE.values()}.get(path)
    if brought is not None and brought.whole(home.models):
        return brought.files[0].sha256
    memory = home.cache / "identities.json"
    try:
        target = path.resolve(strict=True)  # the Hugging Face cache links to the file, and a link has a time of its own
        stat = target.stat()
        stamp = {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns}
        known = read_object(memory).get(str(target))
        if isinstance(known, dict) and {**known, **stamp} == known and isinstance(known.get("sha256"), str):
            return str(known["sha256"])
        with target.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links, before Python 3.13
        raise Unusable(f"{path} cannot be read ({error}).", "Name another file: lorebook models list") from error
    _remember(memory, target, {**stamp, "sha256": sha256})
    return sha256


def _remember(memory: Path, target: Path, found: dict[str, Any]) -> None:
    def put(known: dict[str, Any]) -> None:
        for gone in [name for name in known if not Path(name).is_file()]:
            del known[gone]
        known[str(target)] = found

    try:
        change_object(memory, put)
    except StorageFailed as error:
        log.warning("%s will be read again: %s", target, error)
