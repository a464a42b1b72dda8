"""Full fine-tuning, and BitFit (arXiv:2106.10199): weights everywhere change, and a model of its own comes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lorebook_daemon.models.taught import MODEL
from lorebook_daemon.teach.batches import NextToken, Prefixes
from lorebook_daemon.teach.export import in_file_order
from lorebook_daemon.teach.job import TrainJob
from lorebook_daemon.teach.merge import write_model
from lorebook_daemon.teach.model import CausalLM, trained
from lorebook_daemon.teach.opened import open_weights
from lorebook_daemon.teach.plan import Plan
from lorebook_daemon.teach.weights import file_name


def everything(name: str) -> bool:
    """Return True: all weights are trained."""
    return True


def biases(name: str) -> bool:
    """Return whether a weight, by name, is a bias."""
    return name.endswith(".bias")


@dataclass(frozen=True)
class Whole:
    """A method that trains the weights that are `wanted`, by Hugging Face's names, wherever they are."""

    wanted: Callable[[str], bool]

    def prepare(self, model: CausalLM, job: TrainJob, plan: Plan, prefixes: Prefixes) -> NextToken:
        """Open the weights."""
        open_weights(model, self.wanted)
        return NextToken(model, prefixes)

    def write(self, folder: Path, model: CausalLM, job: TrainJob, plan: Plan) -> None:
        """Write the base with these weights in the place of its own; raises StorageFailed."""
        values = {}
        for name, parameter in trained(model).items():
            ours = file_name(name)
            weight = ours.removesuffix(".weight")
            values[ours] = in_file_order(weight, parameter.detach(), model.shape).contiguous().numpy()
        write_model(folder / MODEL, Path(job.path), values, job.name)
