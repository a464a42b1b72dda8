"""LoRA (arXiv:2106.09685) and aLoRA (arXiv:2504.12397): two factors beside each weight that is changed, by PEFT."""

from __future__ import annotations

from pathlib import Path

import torch
from peft import LoraConfig, inject_adapter_in_model

from lorebook_api.teaching import TrainSettings
from lorebook_daemon.models.adapter_file import check_fits, read_adapter
from lorebook_daemon.teach.batches import NextToken, Prefixes
from lorebook_daemon.teach.export import write_gguf, write_peft
from lorebook_daemon.teach.job import TARGETS, TrainJob
from lorebook_daemon.teach.model import CausalLM
from lorebook_daemon.teach.plan import Plan
from lorebook_daemon.teach.weights import Shape


class LowRank:
    """The method: for aLoRA the adapter acts from the answer's beginning on, which the samples say."""

    def prepare(self, model: CausalLM, job: TrainJob, plan: Plan, prefixes: Prefixes) -> NextToken:
        """Put the factors into the model."""
        inject(model, lora_config(plan.shape, job.settings, plan.invocation), job.settings.seed)
        return NextToken(model, prefixes)

    def write(self, folder: Path, model: CausalLM, job: TrainJob, plan: Plan) -> None:
        """Write `adapter.gguf`, which the engine takes, and `peft/`; raises Unusable where it would not take it."""
        adapter = folder / "adapter.gguf"
        write_gguf(adapter, model, job, plan.invocation)
        check_fits(read_adapter(adapter, job.name), Path(job.path), job.sha256)
        write_peft(folder / "peft", model, lora_config(plan.shape, job.settings, plan.invocation), job.base)


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
            # PEFT rounds them as the weights are, where these are not packed: how those are kept changes no number.
            parameter.data = parameter.data.to(model.dtype).float()
