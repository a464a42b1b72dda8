"""Keys and values as llama.cpp saves them of a sequence: `llama_kv_cache::state_write`, one stream, in f16."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float32]

_MAGIC = 0xAF143CD8
_F16 = 1


@dataclass(frozen=True)
class KvState:
    """The keys and the values of a sequence, [token, number] a layer; row i is of position i."""

    keys: tuple[Numbers, ...]
    values: tuple[Numbers, ...]


def read_state(state: bytes) -> KvState:
    """Return what `Llama.save` gave of a sequence that begins at position 0; raises ValueError for another form."""
    reader = _Reader(state)
    magic, _, streams, cells = reader.take("IIII")
    if magic != _MAGIC or streams != 1:
        raise ValueError("this is no state of one attention cache")
    places = [reader.take("iIi")[0] for _ in range(cells)]
    transposed, layers = reader.take("II")
    order = np.argsort(places)
    keys = tuple(reader.rows(cells)[order] for _ in range(layers))
    values = tuple((reader.columns(cells) if transposed else reader.rows(cells))[order] for _ in range(layers))
    if sorted(places) != list(range(cells)) or reader.left:
        raise ValueError("the state holds other places, or more")
    return KvState(keys, values)


class _Reader:
    """Takes a state apart from its start on."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def take(self, form: str) -> tuple[int, ...]:
        found = struct.unpack_from(f"<{form}", self._data, self._at)
        self._at += struct.calcsize(f"<{form}")
        return found

    def rows(self, cells: int) -> Numbers:
        """Return a layer in which the numbers of a token stand together."""
        kind, size = self.take("iQ")
        return self._numbers(kind, cells, size // 2)

    def columns(self, cells: int) -> Numbers:
        """Return a layer in which a number stands together with those of the other tokens: values without flash."""
        kind, _, width = self.take("iII")
        return self._numbers(kind, width, cells).T

    def _numbers(self, kind: int, rows: int, columns: int) -> Numbers:
        if kind != _F16:
            raise ValueError(f"KV is of type {kind}, not f16")
        found = np.frombuffer(self._data, "<f2", rows * columns, self._at)
        self._at += 2 * rows * columns
        return found.reshape(rows, columns).astype(np.float32)
