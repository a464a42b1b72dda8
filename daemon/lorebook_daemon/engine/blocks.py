"""The KV of passages that were read, kept up to a bound; the least recently used go first."""

from __future__ import annotations

import hashlib
from array import array
from collections import OrderedDict
from collections.abc import Sequence

AdapterKey = tuple[tuple[str, float], ...]
"""The adapters with their scales, in order: KV made under one set is wrong under any other (llama.cpp issue 26207)."""


def block_key(adapters: AdapterKey, head: Sequence[int], passage: Sequence[int]) -> bytes:
    """Return what a block's KV depends on, within one model: adapters with scales, the tokens before it, its own."""
    digest = hashlib.blake2b(repr(adapters).encode(), digest_size=20)
    for tokens in (head, passage):
        digest.update(len(tokens).to_bytes(8, "little") + array("i", tokens).tobytes())
    return digest.digest()


class Blocks:
    """A bounded store of KV by key."""

    def __init__(self, limit: int) -> None:
        """Keep at most `limit` bytes."""
        self.limit = limit
        self.size = 0
        self._blocks: OrderedDict[bytes, bytes] = OrderedDict()

    def get(self, key: bytes) -> bytes | None:
        """Return the block, which is now the most recently used, or None."""
        if key in self._blocks:
            self._blocks.move_to_end(key)
        return self._blocks.get(key)

    def put(self, key: bytes, state: bytes) -> None:
        """Keep a block; a single one above the limit is not kept."""
        self.size -= len(self._blocks.pop(key, b""))
        self._blocks[key] = state
        self.size += len(state)
        while self.size > self.limit and self._blocks:
            self.size -= len(self._blocks.popitem(last=False)[1])
