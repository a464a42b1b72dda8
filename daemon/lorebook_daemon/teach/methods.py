"""The methods of fine-tuning: what of the model is trained, and how it is named. One row a method."""

from __future__ import annotations

import torch
from peft import LoraConfig, inject_adapter_in_model

from lorebook_api.teaching import TrainSettings
from lorebook_daemon.teach.job import TARGETS
from lorebook_daemon.teach.model import CausalLM
from lorebook_daemon.teach.weights import Shape

LEARNING_RATE = {"lora": 2e-3, "alora": 2e-3}
"""The highest rate of each method's schedule where nothing else is said."""


def lora_config(shape: Shape, settings: TrainSettings, invocation: tuple[int, ...]) -> LoraConfig:
    """Return PEFT's description of the adapter; `invocation` is empty for one that always acts."""
    last = settings.layers or shape.layers
    layers = range(max(0, shape.layers - last), shape.layers)
    return LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=0.0,
        target_modules=[f"model.layers.{n}.{TARGETS[target]}" for n in layers for target in settings.targets],
        task_type="CAUSAL_LM",
        alora_invocation_tokens=list(invocation) or None,
    )


def inject(model: CausalLM, config: LoraConfig, seed: int) -> None:
    """Put the adapter's factors beside the weights that they change; nothing else is trained from here on.

    Here the trainer decides where the adapter acts (see `Prefixes`), so PEFT is told of a plain one.
    """
    plain = LoraConfig(**{**config.to_dict(), "alora_invocation_tokens": None})
    model.requires_grad_(requires_grad=False)
    torch.manual_seed(seed)
    inject_adapter_in_model(plain, model)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(requires_grad="lora_" in name)
        if "lora_" in name:
            parameter.data = parameter.data.float()


def trained(model: CausalLM) -> dict[str, torch.nn.Parameter]:
    """Return what is trained, by name, in order."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
