"""The KV of passages that were read, kept in memory up to a bound, and on disk; the least recently used go first."""

from __future__ import annotations

import hashlib
from array import array
from collections import OrderedDict
from collections.abc import Collection, Sequence

from lorebook_daemon.engine.diskblocks import BlockKey, DiskBlocks, passage_digest

AdapterKey = tuple[tuple[str, float], ...]
"""The adapters with their scales, in order: KV made under one set is wrong under any other (llama.cpp issue 26207)."""


def block_key(
    adapters: AdapterKey, head: Sequence[int], passage: Sequence[int], text: str, layout: str = ""
) -> BlockKey:
    """Return what a block's KV depends on, within one model: adapters with scales, the tokens before it, its own.

    `text` is what the passage's tokens stand for: by it alone its blocks are dropped. `layout` says what the state is
    where it is not the KV of the passage alone.
    """
    digest = hashlib.blake2b(repr((adapters, layout)).encode(), digest_size=20)
    for tokens in (head, passage):
        digest.update(len(tokens).to_bytes(8, "little") + array("i", tokens).tobytes())
    return BlockKey(digest.digest(), passage_digest(text))


class Blocks:
    """A bounded store of KV by key, for the one thread that decodes."""

    def __init__(self, memory_limit: int, disk: DiskBlocks | None = None) -> None:
        """Keep at most `memory_limit` bytes in memory, and on `disk` what that holds."""
        self.memory_limit = memory_limit
        self.size = 0
        """Bytes in memory."""
        self._disk = disk
        self._blocks: OrderedDict[BlockKey, bytes] = OrderedDict()

    def get(self, key: BlockKey) -> bytes | None:
        """Return the block, which is now the most recently used, in memory and on disk; None where there is none."""
        state = self._blocks.get(key)
        if state is not None:
            self._blocks.move_to_end(key)
            if self._disk:
                self._disk.touch(key)
        elif self._disk and (state := self._disk.get(key)) is not None:
            self._remember(key, state)
        return state

    def has(self, key: BlockKey) -> bool:
        """Return whether the block is kept; one on disk may still prove to be damaged."""
        return key in self._blocks or (self._disk is not None and self._disk.has(key))

    def put(self, key: BlockKey, state: bytes) -> None:
        """Keep a block; one above the bound of the memory is only kept on disk."""
        self._remember(key, state)
        if self._disk:
            self._disk.put(key, state)

    def discard(self, key: BlockKey) -> None:
        """Delete a block, in memory and on disk."""
        self.size -= len(self._blocks.pop(key, b""))
        if self._disk:
            self._disk.discard(key)

    def drop(self, passages: Collection[bytes]) -> int:
        """Delete all blocks of these passages (see `passage_digest`), on disk those of other models too.

        Return how many there were.
        """
        going = [key for key in self._blocks if key.passage in passages]
        for key in going:
            self.size -= len(self._blocks.pop(key))
        if self._disk is None:
            return len(going)
        return len({self._disk.path(key) for key in going} | self._disk.drop(passages))

    def _remember(self, key: BlockKey, state: bytes) -> None:
        self.size -= len(self._blocks.pop(key, b""))
        if len(state) > self.memory_limit:
            return
        self._blocks[key] = state
        self.size += len(state)
        while self.size > self.memory_limit:
            self.size -= len(self._blocks.popitem(last=False)[1])
