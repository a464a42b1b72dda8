"""Prompt tuning (arXiv:2104.08691): vectors that stand before the prompt are learnt, the weights stay as they are."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from lorebook_daemon.models.adapter_file import SOFT, SOFT_VECTORS, check_fits, read_adapter
from lorebook_daemon.teach.batches import NextToken, Prefixes
from lorebook_daemon.teach.export import write_adapter
from lorebook_daemon.teach.job import TrainJob
from lorebook_daemon.teach.model import CausalLM
from lorebook_daemon.teach.plan import Plan


class SoftPrompt:
    """The method. The vectors begin as those of tokens of the examples, drawn by the seed."""

    def prepare(self, model: CausalLM, job: TrainJob, plan: Plan, prefixes: Prefixes) -> NextToken:
        """Put the vectors before the model's own."""
        model.requires_grad_(requires_grad=False)
        tokens = sorted({token for variants in plan.variants for token in variants[0].tokens})
        words = torch.tensor([token for token in tokens if token < model.shape.vocabulary])
        torch.manual_seed(job.settings.seed)
        drawn = words[torch.randint(len(words), (len(plan.teaching.soft),))]
        model.soft = nn.Parameter(model.model.embed_tokens(drawn, model.dtype).clone())
        return NextToken(model, prefixes)

    def write(self, folder: Path, model: CausalLM, job: TrainJob, plan: Plan) -> None:
        """Write `adapter.gguf`; raises StorageFailed."""
        adapter = folder / "adapter.gguf"
        tensors = [(SOFT_VECTORS, model.soft.detach().numpy())]
        write_adapter(adapter, job, model.shape.architecture, tensors, kind=SOFT)
        check_fits(read_adapter(adapter, job.name), Path(job.path), job.sha256)
