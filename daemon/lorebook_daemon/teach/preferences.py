"""Direct preference optimization (DPO, arXiv:2305.18290): of two answers the better one becomes the likelier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - torch's own name for it

from lorebook_daemon.teach.batches import Prefixes, adapters_off, collate, losses
from lorebook_daemon.teach.job import TrainJob
from lorebook_daemon.teach.lowrank import LowRank
from lorebook_daemon.teach.model import CausalLM
from lorebook_daemon.teach.plan import Plan
from lorebook_daemon.teach.samples import Sample

BETA = 0.1
"""How far the model may go from the base for a preference: the paper's own."""


class Preferences:
    """The method: what LoRA trains, by pairs. The base is the reference: it is the model with the adapter off."""

    def __init__(self) -> None:
        self._adapter = LowRank()

    def prepare(self, model: CausalLM, job: TrainJob, plan: Plan, prefixes: Prefixes) -> PairLoss:
        """Put the factors into the model."""
        self._adapter.prepare(model, job, plan, prefixes)
        return PairLoss(model, prefixes)

    def write(self, folder: Path, model: CausalLM, job: TrainJob, plan: Plan) -> None:
        """Write the adapter as `LowRank` does."""
        self._adapter.write(folder, model, job, plan)


class PairLoss:
    """The objective: -log σ(β (what the adapter adds to the better answer - what it adds to the other))."""

    def __init__(self, model: CausalLM, prefixes: Prefixes) -> None:
        self._model, self._prefixes = model, prefixes
        self._reference: dict[Sample, float] = {}

    def losses(self, samples: Sequence[Sample]) -> Tensor:
        """Return the loss (nats) of each pair."""
        return -F.logsigmoid(BETA * (self._margins(samples) - self._references(samples)))

    def right(self, samples: Sequence[Sample]) -> list[bool]:
        """Return of which pairs the better answer is the likelier."""
        with torch.no_grad():
            return [bool(margin > 0) for margin in self._margins(samples)]

    def preferred(self, samples: Sequence[Sample]) -> list[bool]:
        """Return of which pairs the adapter makes the better answer likelier than the base has it, against the other.

        The sign of the paper's implicit reward: nothing of the base's own taste, such as for short answers, counts.
        """
        with torch.no_grad():
            return [bool(more > 0) for more in self._margins(samples) - self._references(samples)]

    def _margins(self, samples: Sequence[Sample]) -> Tensor:
        """Return by how much each better answer's log-probability is above the other's."""
        sides = [*samples, *(replace(sample, tokens=sample.rejected) for sample in samples)]
        batch = collate(sides, self._prefixes)
        sums = torch.zeros(len(sides)).index_add(0, batch.rows, -losses(self._model, batch))
        return sums[: len(samples)] - sums[len(samples) :]

    def _references(self, samples: Sequence[Sample]) -> Tensor:
        """Return the base's margins; each pair's is computed once, alone, so that a resumed training has the same."""
        for sample in samples:
            if sample not in self._reference:
                with torch.no_grad(), adapters_off(self._model):
                    self._reference[sample] = float(self._margins([sample]))
        return torch.tensor([self._reference[sample] for sample in samples])
