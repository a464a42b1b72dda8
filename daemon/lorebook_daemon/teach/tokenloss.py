"""The loss of each learnt token: the largest product of a small model, computed once for the loss and its gradient."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - torch's own name for it
from torch.utils.checkpoint import checkpoint

from lorebook_daemon.teach.model import CausalLM, for_now

_CHUNK = 256
"""Tokens whose logits exist at a time: of a vocabulary of 150,000 those are 150 MB."""


def token_losses(model: CausalLM, states: Tensor, targets: Tensor) -> Tensor:
    """Return the loss (nats) of each token, from the hidden state that predicts it."""
    weight = model.output.weight
    if not weight.requires_grad:
        losses: Tensor = _FrozenLosses.apply(states, weight, model.output.kind, targets, model.dtype)
        return losses
    chunks = zip(states.split(_CHUNK), targets.split(_CHUNK), strict=True)
    return torch.cat([_chunk(model, part, wanted) for part, wanted in chunks])


class _FrozenLosses(torch.autograd.Function):
    """Cross entropy upon an output layer that is not trained.

    The gradient of a token's loss is made with the loss, where the logits were, and only multiplied on the way back: no
    logits are kept, and none are computed twice. As in Liger's fused linear cross entropy (arXiv:2410.10989).
    """

    @staticmethod
    def forward(
        context: Any, states: Tensor, weight: Tensor, kind: int | None, targets: Tensor, dtype: torch.dtype
    ) -> Tensor:
        numbers = for_now(weight, kind, dtype)
        wanted = context.needs_input_grad[0]
        losses, gradients = [], []
        for part, aims in zip(states.to(dtype).split(_CHUNK), targets[:, None].split(_CHUNK), strict=True):
            logits = (part @ numbers.T).float()
            aimed, most = logits.gather(1, aims), logits.amax(1, keepdim=True)
            shares = logits.sub_(most).exp_()
            total = shares.sum(1, keepdim=True)
            losses.append((total.log() + most - aimed)[:, 0])
            if wanted:
                shares.div_(total).scatter_(1, aims, (aimed - most).exp() / total - 1)
                gradients.append((shares.to(dtype) @ numbers).to(states.dtype))
        if wanted:
            context.save_for_backward(torch.cat(gradients))
        return torch.cat(losses)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None, None]:
        (each,) = context.saved_tensors
        return gradients[0][:, None] * each, None, None, None, None


def _chunk(model: CausalLM, states: Tensor, targets: Tensor) -> Tensor:
    """Return the losses of some tokens; their logits are computed again for the gradient rather than kept."""

    def loss(states: Tensor) -> Tensor:
        return F.cross_entropy(model.logits(states), targets, reduction="none")

    if len(targets) < _CHUNK or not torch.is_grad_enabled():
        return loss(states)
    again: Tensor = checkpoint(loss, states, use_reentrant=False)
    return again
