"""Soft prompts (arXiv:2104.08691): vectors that were learnt, read as the embeddings of a prompt's first tokens are.

A prompt holds numbers beyond the vocabulary in their place, so that all that is known of tokens holds of them: what was
read is found again by them, under the adapters that they belong to.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from lorebook_api.errors import BadRequest
from lorebook_daemon.models.adapter_file import SOFT, SOFT_VECTORS
from lorebook_daemon.models.gguf_header import read_contents

if TYPE_CHECKING:
    from lorebook_daemon.engine.child.adapters import Adapter

Vectors = npt.NDArray[np.float32]


@lru_cache(maxsize=32)
def soft_prompt(path: str, _version: str) -> Vectors | None:
    """Return the vectors [n, width] of the soft prompt in a file; None for any other adapter."""
    contents = read_contents(Path(path))
    if contents.text("adapter.type") != SOFT:
        return None
    tensor = next(one for one in contents.tensors if one.name == SOFT_VECTORS)
    width, count = tensor.shape
    values = np.fromfile(path, "<f4", width * count, offset=contents.start + tensor.offset)
    return values.reshape(count, width)


def vectors(adapters: Iterable[Adapter]) -> Vectors:
    """Return the vectors of all soft prompts among adapters, in their order; raises BadRequest for a scaled one."""
    wanted = [one for one in adapters if one.soft]
    scaled = next((one for one in wanted if one.scale != 1.0), None)
    if scaled is not None:
        told = f"{Path(scaled.path).stem} is a soft prompt, which stands there or not: it has no scale."
        raise BadRequest(told, f"Leave the scale out: --adapter {Path(scaled.path).stem}")
    found = [soft_prompt(one.path, one.version) for one in wanted]
    return np.concatenate([one for one in found if one is not None] or [np.zeros((0, 0), np.float32)])
