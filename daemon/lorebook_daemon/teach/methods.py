"""The methods of fine-tuning: what of the model is trained, what the training lowers, and how it is written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from torch import Tensor

from lorebook_daemon.teach.batches import Prefixes
from lorebook_daemon.teach.classifier import Classifier
from lorebook_daemon.teach.job import TrainJob
from lorebook_daemon.teach.lastlayers import LastLayers
from lorebook_daemon.teach.lowrank import LowRank
from lorebook_daemon.teach.model import CausalLM
from lorebook_daemon.teach.plan import Plan
from lorebook_daemon.teach.preferences import Preferences
from lorebook_daemon.teach.samples import Sample
from lorebook_daemon.teach.softprompt import SoftPrompt
from lorebook_daemon.teach.whole import Whole, biases, everything


class Objective(Protocol):
    """What a training lowers."""

    def losses(self, samples: Sequence[Sample]) -> Tensor:
        """Return one loss for each thing that is learnt, such as a token (nats); the loop lowers their mean.

        Their gradients lead to the parameters of the model that want one.
        """
        ...

    def right(self, samples: Sequence[Sample]) -> list[bool]:
        """Return which of the samples the model gets right; empty where nothing of them is right or wrong."""
        ...


class Method(Protocol):
    """A method of fine-tuning; `job.METHODS` holds what is known of it without torch."""

    def prepare(self, model: CausalLM, job: TrainJob, plan: Plan, prefixes: Prefixes) -> Objective:
        """Let those parameters of the frozen model want gradients that the method trains, made anew by the seed.

        `prefixes` is what the base has read of each prompt, for samples whose `acts` is not 0.
        """
        ...

    def write(self, folder: Path, model: CausalLM, job: TrainJob, plan: Plan) -> None:
        """Write `adapter.gguf`, or `model.gguf`, and what else there is of it into the job's folder, checked.

        Raises StorageFailed.
        """
        ...


TRAINERS: dict[str, Method] = {
    "alora": LowRank(),
    "lora": LowRank(),
    "prompt": SoftPrompt(),
    "dpo": Preferences(),
    "classifier": Classifier(),
    "last-layers": LastLayers(),
    "bitfit": Whole(biases),
    "full": Whole(everything),
}
"""What does the work of each method."""
