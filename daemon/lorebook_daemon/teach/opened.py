"""Weights of a model that are trained themselves, rather than factors beside them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from lorebook_daemon.teach.model import CausalLM, Packable, trained
from lorebook_daemon.teach.weights import read_weights


def open_weights(model: CausalLM, wanted: Callable[[str], bool]) -> None:
    """Let the weights whose names (Hugging Face's) are `wanted` want a gradient, in 32 bits; all others stay frozen."""
    model.requires_grad_(requires_grad=False)
    for name, layer in model.named_modules():
        if isinstance(layer, Packable) and wanted(f"{name}.weight"):
            layer.widen()
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(requires_grad=wanted(name))


def changes(model: CausalLM, base: Path) -> dict[str, torch.Tensor]:
    """Return by name what training added to the weights that the file `base` holds, in 32 bits."""
    opened = trained(model)
    before = {name: weight for name, weight in read_weights(base, model.shape, torch.float32) if name in opened}
    return {name: opened[name].detach() - weight.values for name, weight in before.items()}
