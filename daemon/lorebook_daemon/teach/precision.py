"""In how many bits weights are kept and multiplied: in 16 where the processor is quicker with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

_INSTRUCTIONS = ("avx512_bf16", "amx_bf16", "bf16")
"""Of x86 and of ARM: products of bfloat16, summed in 32 bits."""


def multiplies_bfloat16() -> bool:
    """Return whether this processor has instructions for products of bfloat16; False where torch cannot tell."""
    tell = getattr(torch.cpu, "get_capabilities", None)  # torch 2.9 and before have none
    told: Mapping[str, Any] = tell() if tell is not None else {}
    return any(bool(told.get(name)) for name in _INSTRUCTIONS)
