"""A classifier: the output layer replaced by classes, on what the model makes of a text's last token."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own name for it

from lorebook_daemon.models.classes import HEAD, TASK, Head, write_head
from lorebook_daemon.teach.batches import Prefixes, collate, states
from lorebook_daemon.teach.job import TrainJob
from lorebook_daemon.teach.lastlayers import open_last_layers, write_last_layers
from lorebook_daemon.teach.model import CausalLM
from lorebook_daemon.teach.plan import Plan
from lorebook_daemon.teach.samples import Sample


class Classifier:
    """The method: a new output layer and the last layers' matrices are trained, nothing else."""

    def prepare(self, model: CausalLM, job: TrainJob, plan: Plan, prefixes: Prefixes) -> ClassLoss:
        """Open the last layers, and give the model an output layer of classes."""
        open_last_layers(model, job)
        torch.manual_seed(job.settings.seed)
        head = nn.Linear(model.shape.width, len(plan.classes))
        model.add_module("classes", head)
        return ClassLoss(model, head, prefixes)

    def write(self, folder: Path, model: CausalLM, job: TrainJob, plan: Plan) -> None:
        """Write `adapter.gguf`, and the output layer into the folder `peft/`; raises StorageFailed."""
        write_last_layers(folder, model, job, TASK)
        head = model.get_submodule("classes")
        weight, bias = head.weight.detach().numpy(), head.bias.detach().numpy()
        write_head(folder / "peft" / HEAD, Head(plan.classes, weight, bias))


class ClassLoss:
    """The objective: cross entropy over the classes. A sample's last "token" is the number of its class."""

    def __init__(self, model: CausalLM, head: nn.Linear, prefixes: Prefixes) -> None:
        self._model, self._head, self._prefixes = model, head, prefixes

    def losses(self, samples: Sequence[Sample]) -> Tensor:
        """Return the loss (nats) of each text."""
        scores, wanted = self._scores(samples)
        return F.cross_entropy(scores, wanted, reduction="none")

    def right(self, samples: Sequence[Sample]) -> list[bool]:
        """Return which texts are given their class."""
        with torch.no_grad():
            scores, wanted = self._scores(samples)
        return [bool(one) for one in scores.argmax(-1) == wanted]

    def _scores(self, samples: Sequence[Sample]) -> tuple[Tensor, Tensor]:
        batch = collate(samples, self._prefixes)
        scores: Tensor = self._head(states(self._model, batch))
        return scores, batch.targets
