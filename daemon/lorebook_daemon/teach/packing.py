"""Weights as a GGUF file packs them: kept so, and unpacked for the moment of use by ggml's own functions."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import gguf
import llama_cpp
import numpy as np
import torch

_PIECE = 2**17
"""Weights that are unpacked at a time: half a megabyte of numbers, which stays in the cache of a core."""
_NUMBERS = {0: torch.float32, 1: torch.float16, 30: torch.bfloat16}
"""What is not packed at all, by ggml's number."""
_Rows = Callable[[int, int, int], None]
"""A function of ggml: from an address to an address, so many weights."""
_KEPT = 2**25
"""Numbers that memory is kept for; a vocabulary has more, and is unpacked once a batch."""


class Workplace:
    """Memory in which one weight after the other is unpacked: with fresh memory it takes half as long again."""

    def __init__(self) -> None:
        self._kept: dict[torch.dtype, torch.Tensor] = {}

    def unpacked(self, packed: torch.Tensor, kind: int, dtype: torch.dtype) -> torch.Tensor:
        """Return what `unpacked` does, until the next call: that one may overwrite it."""
        before = self._kept.get(dtype)
        numbers = unpacked(packed, kind, dtype, before)
        own = kind not in _NUMBERS  # else it may be the weight's own memory
        if own and numbers.numel() <= _KEPT and (before is None or before.numel() < numbers.numel()):
            self._kept[dtype] = numbers.view(-1)
        return numbers


def unpacked(packed: torch.Tensor, kind: int, dtype: torch.dtype, place: torch.Tensor | None = None) -> torch.Tensor:
    """Return the numbers [rows, columns] of a weight [rows, bytes] that is packed in ggml's way `kind`.

    `dtype` is float32 or bfloat16. The processor's cores share the rows. The numbers are put into the memory `place`
    where that has room for them.
    """
    if kind in _NUMBERS:
        return packed.view(_NUMBERS[kind]).to(dtype)
    weights, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType(kind)]
    rows, columns = packed.shape[0], packed.shape[1] // size * weights
    if place is None or place.numel() < rows * columns:
        place = torch.empty(rows * columns, dtype=dtype)
    numbers = place[: rows * columns].view(rows, columns)
    cores = torch.get_num_threads()
    part = max(-(-rows // cores), -(-_PIECE // columns))
    starts = range(0, rows, part)

    def unpack(start: int) -> None:
        _unpack(packed[start : start + part], kind, numbers[start : start + part])

    list(_cores(cores).map(unpack, starts) if len(starts) > 1 else map(unpack, starts))
    return numbers


def _unpack(packed: torch.Tensor, kind: int, numbers: torch.Tensor) -> None:
    """Fill `numbers` piece by piece: whole, a vocabulary in 32 bits would take a gigabyte on its way to 16."""
    step = max(1, _PIECE // numbers.shape[1])
    for n in range(0, len(numbers), step):
        _fill(numbers[n : n + step], packed[n : n + step], kind)


def _fill(numbers: torch.Tensor, packed: torch.Tensor, kind: int) -> None:
    unpack, narrow = _function(f"dequantize_row_{_name(kind)}"), _function("ggml_fp32_to_bf16_row")
    if unpack is None or narrow is None:
        values = gguf.dequantize(packed.numpy(), gguf.GGMLQuantizationType(kind))
        numbers.copy_(torch.from_numpy(np.array(values, dtype=np.float32)))
    elif numbers.dtype == torch.float32:
        unpack(packed.data_ptr(), numbers.data_ptr(), numbers.numel())
    else:
        wide = np.empty(numbers.numel(), np.float32)
        unpack(packed.data_ptr(), wide.ctypes.data, numbers.numel())
        narrow(wide.ctypes.data, numbers.data_ptr(), numbers.numel())


def _name(kind: int) -> str:
    """Return how ggml writes a packing in its functions' names: `q4_0`, `q4_K`, `iq4_xs`."""
    name = gguf.GGMLQuantizationType(kind).name
    return f"{name[:-1].lower()}K" if name.endswith("K") else name.lower()


@cache
def _function(name: str) -> _Rows | None:
    """Return a function of the ggml that llama.cpp brings; None where that has none of the name.

    gguf's own unpacking gives the same numbers thirty times as slowly.
    """
    folder = Path(llama_cpp.__file__).parent / "lib"
    for path in sorted(folder.glob("*ggml-base*")):
        function = getattr(ctypes.CDLL(str(path)), name, None)
        if function is not None:
            function.argtypes, function.restype = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64), None
            return function  # type: ignore[no-any-return]
    return None


@cache
def _cores(count: int) -> ThreadPoolExecutor:
    """Return threads that unpack: while ggml is at it, Python's lock is free."""
    return ThreadPoolExecutor(count, thread_name_prefix="unpack")
