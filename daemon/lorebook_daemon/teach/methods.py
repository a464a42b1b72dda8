"""The methods of fine-tuning: what of the model is trained, what the training lowers, and how it is written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from torch import Tensor

from lorebook_daemon.teach.batches import Prefixes
from lorebook_daemon.teach.job import TrainJob
from lorebook_daemon.teach.lowrank import LowRank
from lorebook_daemon.teach.model import CausalLM
from lorebook_daemon.teach.plan import Plan
from lorebook_daemon.teach.samples import Sample


class Objective(Protocol):
    """What a training lowers."""

    def losses(self, samples: Sequence[Sample]) -> Tensor:
        """Return one loss for each thing that is learnt, such as a token (nats); the loop lowers their mean.

        Their gradients lead to the parameters of the model that want one.
        """
        ...


class Method(Protocol):
    """A method of fine-tuning; `job.METHODS` holds what is known of it without torch."""

    def prepare(self, model: CausalLM, job: TrainJob, plan: Plan, prefixes: Prefixes) -> Objective:
        """Let those parameters of the frozen model want gradients that the method trains, made anew by the seed.

        `prefixes` is what the base has read of each prompt, for samples whose `acts` is not 0.
        """
        ...

    def write(self, folder: Path, model: CausalLM, job: TrainJob, plan: Plan) -> None:
        """Write `adapter.gguf` and what else there is of the trained model into the job's folder, checked.

        Raises StorageFailed.
        """
        ...


TRAINERS: dict[str, Method] = {"alora": LowRank(), "lora": LowRank()}
"""What does the work of each method."""
