"""Samples as tensors: what the base has read once is not read again, and only what is learnt costs logits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - torch's own name for it
from torch.utils.checkpoint import checkpoint

from lorebook_daemon.teach.model import CausalLM, Past, causal
from lorebook_daemon.teach.samples import Sample

_CHUNK = 256
"""Tokens whose logits exist at a time: of a vocabulary of 150,000 those are 150 MB."""


@dataclass(frozen=True)
class Batch:
    """Samples side by side, from where the adapter acts on; what is before is in `past`."""

    inputs: Tensor
    positions: Tensor
    mask: Tensor
    past: Past | None
    rows: Tensor
    columns: Tensor
    """Where a learnt token is predicted."""
    targets: Tensor


@contextmanager
def adapters_off(model: CausalLM) -> Iterator[None]:
    """Let the base model alone act for the block."""
    layers = [module for module in model.modules() if isinstance(module, BaseTunerLayer)]
    for layer in layers:
        layer.enable_adapters(enabled=False)
    try:
        yield
    finally:
        for layer in layers:
            layer.enable_adapters(enabled=True)


class Prefixes:
    """What the base model reads before the adapter acts: computed once for each prompt, while there is room."""

    def __init__(self, model: CausalLM, most_bytes: int) -> None:
        """Keep at most `most_bytes`; what goes beyond is computed again each time."""
        self._model = model
        self._most = most_bytes
        self._kept: dict[tuple[int, ...], Past] = {}
        self._bytes = 0

    def of(self, tokens: tuple[int, ...]) -> Past:
        """Return the keys and values [1, kv heads, tokens, head] of a prompt's beginning, made alone.

        Alone, so that they do not depend on what else is in a batch: a resumed training makes the very same.
        """
        if tokens in self._kept:
            return self._kept[tokens]
        with torch.no_grad(), adapters_off(self._model):
            read = torch.tensor([tokens])
            past: Past = self._model(read, torch.arange(len(tokens))[None], causal(len(tokens)))[1]
        size = sum(k.nbytes + v.nbytes for k, v in past)
        if self._bytes + size <= self._most:
            self._kept[tokens] = past
            self._bytes += size
        return past


def collate(samples: Sequence[Sample], prefixes: Prefixes) -> Batch:
    """Return samples as one batch, padded; the masks keep the padding from being looked at."""
    lengths = [len(sample.tokens) - 1 - sample.acts for sample in samples]
    before, longest = max(sample.acts for sample in samples), max(lengths)
    inputs = torch.zeros(len(samples), longest, dtype=torch.long)
    mask = torch.zeros(len(samples), 1, longest, before + longest, dtype=torch.bool)
    mask[:, :, :, before:] = causal(longest)
    places: list[tuple[int, int, int]] = []
    for row, (sample, length) in enumerate(zip(samples, lengths, strict=True)):
        inputs[row, :length] = torch.tensor(sample.tokens[sample.acts : -1])
        mask[row, :, :, : sample.acts] = True
        places += [(row, n - 1 - sample.acts, sample.tokens[n]) for n in range(sample.learnt, len(sample.tokens))]
    rows, columns, targets = torch.tensor(places).T
    acts = torch.tensor([sample.acts for sample in samples])
    positions = acts[:, None] + torch.arange(longest)[None]
    past = _padded([prefixes.of(sample.tokens[: sample.acts]) for sample in samples], before) if before else None
    return Batch(inputs, positions, mask, past, rows, columns, targets)


def _padded(pasts: Sequence[Past], width: int) -> Past:
    def side(tensors: Sequence[Tensor]) -> Tensor:
        return torch.cat([F.pad(tensor, (0, 0, 0, width - tensor.shape[2])) for tensor in tensors])

    return [(side([past[n][0] for past in pasts]), side([past[n][1] for past in pasts])) for n in range(len(pasts[0]))]


def losses(model: CausalLM, batch: Batch) -> Tensor:
    """Return the loss (nats) of each learnt token."""
    hidden, _ = model(batch.inputs, batch.positions, batch.mask, batch.past)
    learnt = hidden[batch.rows, batch.columns]
    chunks = zip(learnt.split(_CHUNK), batch.targets.split(_CHUNK), strict=True)
    return torch.cat([_chunk(model, states, targets) for states, targets in chunks])


class NextToken:
    """The usual objective: each learnt token is predicted from those before it."""

    def __init__(self, model: CausalLM, prefixes: Prefixes) -> None:
        self._model = model
        self.prefixes = prefixes

    def losses(self, samples: Sequence[Sample]) -> Tensor:
        """Return the loss (nats) of each learnt token, sample after sample."""
        return losses(self._model, collate(samples, self.prefixes))


def _chunk(model: CausalLM, states: Tensor, targets: Tensor) -> Tensor:
    """Return the losses of some tokens; their logits are computed again for the gradient rather than kept."""

    def loss(states: Tensor) -> Tensor:
        return F.cross_entropy(model.logits(states), targets, reduction="none")

    if len(targets) < _CHUNK or not torch.is_grad_enabled():
        return loss(states)
    again: Tensor = checkpoint(loss, states, use_reentrant=False)
    return again
